package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"stemma"
)

// palette colours words for a terminal; its zero value does not.
type palette struct{ on bool }

// colours is on for a terminal, unless NO_COLOR is set (no-color.org).
func colours(w io.Writer) palette {
	if s, ok := w.(*sink); ok {
		w = s.Writer
	}
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return palette{}
	}
	info, err := f.Stat()
	return palette{err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (p palette) paint(code, s string) string {
	if !p.on {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p palette) green(s string) string  { return p.paint("32;1", s) }
func (p palette) red(s string) string    { return p.paint("31;1", s) }
func (p palette) yellow(s string) string { return p.paint("33;1", s) }
func (p palette) bold(s string) string   { return p.paint("1", s) }
func (p palette) dim(s string) string    { return p.paint("2", s) }

// heading paints the first row of a table.
func (p palette) heading(row, _ int, s string) string {
	if row == 0 {
		return p.dim(s)
	}
	return s
}

// clean makes text from evidence safe to print.
func clean(s string) string { return stemma.Printable(s, 400) }

// pad fills s with spaces to a width in runes.
func pad(s string, width int) string {
	if n := utf8.RuneCountInString(s); n < width {
		return s + strings.Repeat(" ", width-n)
	}
	return s
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// table prints rows in columns; the last column is not padded. Colour is applied by the caller's paint, by column.
func table(w io.Writer, indent string, rows [][]string, paint func(row, col int, s string) string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for r, row := range rows {
		line := indent
		for i, cell := range row {
			text := cell
			if i < len(row)-1 {
				text = pad(cell, widths[i]+2)
			}
			if paint != nil {
				text = paint(r, i, text)
			}
			line += text
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}
