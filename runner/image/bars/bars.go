// SPDX-License-Identifier: Apache-2.0

// Package bars draws on a terminal how a pull gets on: a line with a bar for each layer, and one
// for the image.
package bars

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/image"
	"golang.org/x/term"
)

// Draw has a pull report to w where that is a terminal; false is of anything else. The function
// that it returns takes what was drawn from the screen.
func Draw(w io.Writer, o image.PullOptions) (image.PullOptions, func(), bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return o, func() {}, false
	}
	d := drawing{w: f, begun: time.Now(), size: func() (int, int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			return 80, 24
		}
		return width, height
	}}
	o.Interval = 200 * time.Millisecond
	o.Report = d.show
	if log := o.Log; log != nil {
		o.Log = func(line string) {
			d.clear()
			log(line)
		}
	}
	return o, d.clear, true
}

// A drawing stands on a terminal, the cursor at the end of its last line.
type drawing struct {
	w     io.Writer
	size  func() (width, height int)
	begun time.Time
	lines int // that stand there
}

// wipe is what takes the lines away.
func (d *drawing) wipe() string {
	if d.lines == 0 {
		return ""
	}
	return "\r\x1b[K" + strings.Repeat("\x1b[A\x1b[K", d.lines-1)
}

func (d *drawing) clear() {
	fmt.Fprint(d.w, d.wipe())
	d.lines = 0
}

func (d *drawing) show(p image.Progress) {
	width, height := d.size()
	lines := blobs(p.Parts, width, height-2)
	text := p.String()
	if s := time.Since(d.begun).Seconds(); s > 1 && p.Done > 0 && p.Done < p.Total {
		text += fmt.Sprintf(", %d%%, %.1f MB/s", p.Done*100/p.Total, float64(p.Done)/1e6/s)
	}
	lines = append(lines, text)
	for i, line := range lines {
		lines[i] = line[:min(len(line), width-1)]
	}
	// All at once, or it flickers.
	fmt.Fprint(d.w, d.wipe()+strings.Join(lines, "\r\n"))
	d.lines = len(lines)
}

// blobs are the lines of layers, no more than fit: those that are complete go first.
func blobs(all []image.Part, width, most int) []string {
	tooMany := len(all) - max(most, 0)
	var lines []string
	for _, b := range all {
		if tooMany > 0 && b.Complete {
			tooMany--
			continue
		}
		lines = append(lines, blob(b, width))
	}
	return lines[:len(lines)-min(max(tooMany, 0), len(lines))]
}

// longest is how many characters a bar has where there is room.
const longest = 30

// blob is the line of one layer.
func blob(b image.Part, width int) string {
	_, hex, _ := strings.Cut(b.Digest, ":")
	line := "Copying blob " + hex[:min(12, len(hex))] + " "
	switch {
	case b.There:
		return line + "skipped: already exists"
	case b.Complete:
		return line + "done"
	case b.Total <= 0:
		return line + fmt.Sprintf("%.1f MB", float64(b.Done)/1e6)
	case b.Done >= b.Total:
		return line + fmt.Sprintf("unpacking %.1f MB", float64(b.Total)/1e6)
	}
	end := fmt.Sprintf(" %.1f of %.1f MB", float64(b.Done)/1e6, float64(b.Total)/1e6)
	room := min(longest, width-len(line)-len(end)-len("[]")-1)
	if room < 5 {
		return line + strings.TrimSpace(end)
	}
	filled := int(b.Done * int64(room) / b.Total)
	return line + "[" + strings.Repeat("=", filled) + ">" + strings.Repeat("-", room-filled-1) + "]" + end
}
