package policy

// Inputs requires what may have gone into the build. Each list that is written is an allow-list for its kind.
type Inputs struct {
	Unreported Unreported  `yaml:"unreported" default:"warn"` // warn (default), refuse or ignore that the builder does not name a kind of inputs that a list is written for
	Images     []Pattern   `yaml:"images"`                    // images, by repository: docker.io/library/**
	Git        []Pattern   `yaml:"git"`                       // repositories besides the source itself: github.com/acme/**
	HTTP       []Pattern   `yaml:"http"`                      // files, by host and path: dl.acme.example/**
	Actions    []Pattern   `yaml:"actions"`                   // actions, reusable workflows and tasks, by repository or bundle: actions/**
	Packages   []Pattern   `yaml:"packages"`                  // hosts that packages come from, or package URLs without version: proxy.acme.example/**, pkg:npm/@acme/**
	Digests    Demand      `yaml:"digests"`                   // required: each input is named by digest, repositories by commit
	Declared   Demand      `yaml:"declared"`                  // required: the steps use nothing that the dependencies do not name
	Hermetic   Demand      `yaml:"hermetic"`                  // required: the builder says that it built without network
	Parameters *Parameters `yaml:"parameters"`                // external parameters that the tenant may set
}

// Parameters is an allow-list of what the tenant may set.
type Parameters struct {
	Allow []Pattern `yaml:"allow,required"` // names: VERSION, build-arg names, inputs; variables of GitLab are left out of account
}

// Demand is required or, when it is not written, nothing.
type Demand string

// Demanded is the only value that can be written for a Demand.
const Demanded Demand = "required"

func (Demand) choices() []string {
	return []string{string(Demanded)}
}

// Unreported says what becomes of a requirement on inputs of a kind that the builder does not name.
type Unreported string

// Choices for what is not reported. The zero value warns.
const (
	UnreportedWarn   Unreported = "warn"
	UnreportedRefuse Unreported = "refuse"
	UnreportedIgnore Unreported = "ignore"
)

func (Unreported) choices() []string {
	return []string{string(UnreportedWarn), string(UnreportedRefuse), string(UnreportedIgnore)}
}

func (Others) choices() []string {
	return []string{string(OthersRefused), string(OthersAllowed)}
}
