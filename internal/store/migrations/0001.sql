-- Repositories, by a number, as one is that of many images.
CREATE TABLE repository (
	id   INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
);

-- Indexes by which images were named, by a number.
CREATE TABLE named (
	id     INTEGER PRIMARY KEY,
	digest BLOB NOT NULL
);

-- Known images, one row each, by the last of its chain IDs: the first 16 bytes, as what is found is compared layer by layer
-- anyway. It is what an image of n layers is looked up by, n times.
CREATE TABLE known (
	chain      BLOB NOT NULL,
	manifest   BLOB NOT NULL,
	repository INTEGER NOT NULL,
	named      INTEGER,
	PRIMARY KEY (chain, manifest)
) WITHOUT ROWID;

-- What blobs unpack to, computed and never claimed.
CREATE TABLE content (
	blob   BLOB PRIMARY KEY,
	diffid BLOB NOT NULL
) WITHOUT ROWID;

-- Manifests of which it was looked at what they stand on.
CREATE TABLE manifest (
	digest     BLOB NOT NULL,
	repository TEXT NOT NULL,
	asked      BLOB NOT NULL, -- the digest that was asked for: the manifest or an index that lists it
	platform   TEXT NOT NULL,
	seen       INTEGER NOT NULL, -- seconds since 1970
	PRIMARY KEY (digest, repository)
) WITHOUT ROWID;

-- And what that is, step by step.
CREATE TABLE lineage (
	manifest   BLOB NOT NULL,
	depth      INTEGER NOT NULL, -- from 1
	grade      TEXT NOT NULL,
	base       BLOB, -- none where nothing is known to be underneath
	named      BLOB,
	repository TEXT,
	PRIMARY KEY (manifest, depth)
) WITHOUT ROWID;

CREATE INDEX lineage_base ON lineage (base, manifest) WHERE base IS NOT NULL;
CREATE INDEX lineage_named ON lineage (named, manifest) WHERE named IS NOT NULL;
