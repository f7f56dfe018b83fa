package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"stemma"
)

// Measures of the picture of a stack, in pixels.
const (
	pictureWidth = 960
	stackLeft    = 32
	stackWidth   = 190
	textLeft     = stackLeft + stackWidth + 28
	lineHeight   = 18
	leastHeight  = 26  // of a section, however small its layers are
	toScale      = 320 // of all layers together
)

// picture writes the stack of each platform as SVG: layers to scale, a colour for each owner, and how each is known.
func picture(w io.Writer, e *stemma.Evidence, asked string, judge func(*stemma.Evidence) string) error {
	d := &drawing{y: 30, judge: judge}
	d.text(stackLeft, d.y, "name", ending(clean(asked), 88))
	d.y += lineHeight
	d.text(stackLeft, d.y, "small mono", string(e.Image.Digest))
	if judge != nil {
		d.y += lineHeight
		d.text(stackLeft, d.y, "small", judge(e))
	}
	d.y += 34
	for _, n := range leaves(e) {
		d.stack(n)
		d.y += 40
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">
<style>
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;font-size:13px;fill:#1f2933}
.name{font-size:17px;font-weight:600}.owner{font-size:14px;font-weight:600}.small{font-size:12px;fill:#616e7c}
.mono{font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:11.5px}.badge{font-size:11px;font-weight:600;fill:#fff}
.seam{stroke:#fff;stroke-width:1}.edge{stroke:#cbd2d9;stroke-width:1}
</style>
<rect width="100%%" height="100%%" fill="#fff"/>
%s</svg>
`, pictureWidth, d.y, pictureWidth, d.y, entities("what "+clean(asked)+" stands on"), d.b.String())
	return err
}

// drawing is what was drawn so far, down to y.
type drawing struct {
	b     strings.Builder
	y     int
	judge func(*stemma.Evidence) string
}

func (d *drawing) text(x, y int, class, s string) {
	fmt.Fprintf(&d.b, "<text x=\"%d\" y=\"%d\" class=\"%s\">%s</text>\n", x, y, class, entities(s))
}

// owners are the colours of the sections, from the top. They differ for those who do not see red and green, too.
func owners() []string {
	return []string{"#2f6fb5", "#e08e2b", "#3d9a83", "#8a63b8", "#c9577b", "#7a8450", "#4b5b6b"}
}

// gradeColour is the colour of a badge.
func gradeColour(g stemma.BaseGrade) string {
	switch g {
	case stemma.BaseProven, stemma.BaseScratch:
		return "#1b7f4d"
	case stemma.BaseSealed, stemma.BaseLayers:
		return "#2f6fb5"
	case stemma.BaseContradicted:
		return "#b3261e"
	}
	return "#8a6d1a"
}

func (d *drawing) stack(e *stemma.Evidence) {
	if e.Stack == nil || e.Base == nil {
		d.text(stackLeft, d.y, "owner", kind(e))
		d.y += lineHeight
		d.text(stackLeft, d.y, "small", "its layers were not read")
		d.y += lineHeight
		return
	}
	all, below := sections(e, d.judge)
	total := int64(1)
	for _, s := range all {
		total += s.size
	}
	d.text(stackLeft, d.y, "owner", fmt.Sprintf("%s · %s · %s", kind(e), plural(len(e.Stack.Layers), "layer"), sized(total-1)))
	d.y += 14
	at := e
	for i, s := range all {
		var edge *stemma.Lineage
		if i > 0 {
			edge, at = at.Base, at.Base.Evidence
		}
		d.section(s, owners()[i%len(owners())], edge, total)
	}
	fmt.Fprintf(&d.b, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" class=\"edge\" stroke-dasharray=\"5 4\"/>\n", stackLeft-12, d.y+4, pictureWidth-stackLeft, d.y+4)
	d.y += 24
	if below != nil {
		d.badge(textLeft, d.y, below.Grade)
		text := below.Why
		switch below.Grade {
		case stemma.BaseScratch, stemma.BaseNoneClaimed:
			text = "nothing underneath"
		case stemma.BaseClaimed, stemma.BaseContradicted:
			text = below.Base.Repository + " " + below.Base.Digest.Short()
		}
		for k, line := range strings.Split(wrap(clean(text), 84), "\n") {
			if k == 0 {
				d.text(textLeft+badgeWidth(below.Grade)+8, d.y, "small", line)
				continue
			}
			d.y += lineHeight
			d.text(textLeft, d.y, "small", line)
		}
	}
	d.y += 8
}

// section draws the layers of one owner, and beside them who it is.
func (d *drawing) section(s section, colour string, edge *stemma.Lineage, total int64) {
	lines := [][2]string{}
	for _, n := range s.notes {
		if edge != nil {
			n = strings.TrimPrefix(n, string(edge.Grade)+"  ")
		}
		for _, line := range strings.Split(wrap(n, 96), "\n") {
			lines = append(lines, [2]string{"small", ending(line, 108)})
		}
	}
	height := max(leastHeight, int(s.size*toScale/total), 30+lineHeight*len(lines))
	fmt.Fprintf(&d.b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\" fill=\"%s\"><title>%s</title></rect>\n", stackLeft, d.y, stackWidth, height, colour, entities(s.name+", "+ranged(s)+", "+sized(s.size)))
	// Seams between layers, to scale within the section.
	sum := int64(0)
	for k := len(s.layers) - 1; k > 0 && s.size > 0; k-- {
		sum += s.layers[k].Size
		y := d.y + int(sum*int64(height)/s.size)
		fmt.Fprintf(&d.b, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" class=\"seam\"/>\n", stackLeft, y, stackLeft+stackWidth, y)
	}
	y := d.y + 17
	x := textLeft
	if edge != nil {
		d.badge(x, y, edge.Grade)
		x += badgeWidth(edge.Grade) + 8
	}
	d.text(x, y, "owner", ending(s.name, 48))
	fmt.Fprintf(&d.b, "<text x=\"%d\" y=\"%d\" class=\"small\" text-anchor=\"end\">%s</text>\n", pictureWidth-stackLeft, y, entities(ranged(s)+" · "+sized(s.size)+" · "+s.digest.Short()))
	for _, l := range lines {
		y += lineHeight
		d.text(textLeft, y, l[0], l[1])
	}
	d.y += height + 3
}

func badgeWidth(g stemma.BaseGrade) int { return 14 + 7*len(g) }

func (d *drawing) badge(x, y int, g stemma.BaseGrade) {
	fmt.Fprintf(&d.b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"17\" rx=\"8\" fill=\"%s\"/>\n", x, y-13, badgeWidth(g), gradeColour(g))
	fmt.Fprintf(&d.b, "<text x=\"%d\" y=\"%d\" class=\"badge\" text-anchor=\"middle\">%s</text>\n", x+badgeWidth(g)/2, y, entities(string(g)))
}

func entities(s string) string {
	var b strings.Builder
	if xml.EscapeText(&b, []byte(s)) != nil {
		return "" // unreachable: a builder takes all
	}
	return b.String()
}

// ending is the end of a long text, which tells more of a name than its beginning.
func ending(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return "…" + string(r[len(r)-most+1:])
	}
	return s
}
