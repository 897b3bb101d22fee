// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"strings"
)

// hugeScript pushes an image of 20 layers that do not compress, 25 MB each, and a second one that
// differs in the last; the first one once more with layers of zstd, and of zstd:chunked.
const hugeScript = `set -e
if ! skopeo inspect docker://localhost:5000/chunked:2 >/dev/null 2>&1; then
	dir=$(mktemp -d); cd $dir; mkdir -p huge/blobs/sha256; echo '{"imageLayoutVersion":"1.0.0"}' >huge/oci-layout
	# blob TYPE: the file named blob goes among the others; prints its descriptor.
	blob() { local d n; d=$(sha256sum <blob | cut -d' ' -f1); n=$(stat -c %s blob); mv blob huge/blobs/sha256/$d; echo "{\"mediaType\":\"application/vnd.oci.image.$1\",\"digest\":\"sha256:$d\",\"size\":$n}"; }
	layers=() ids=()
	for i in $(seq 21); do
		mkdir l; head -c 25000000 /dev/urandom >l/f$i; tar -C l -cf t .; rm -r l
		ids+=("\"sha256:$(sha256sum <t | cut -d' ' -f1)\""); gzip -1 <t >blob; rm t; layers+=("$(blob layer.v1.tar+gzip)")
	done
	for tag in 1 2; do
		which=($(seq 0 18) $((18 + tag)))
		pick() { local -n from=$1; local i; for i in ${which[@]}; do echo "${from[$i]}"; done | paste -sd,; }
		echo "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"/f1\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[$(pick ids)]}}" >blob
		config=$(blob config.v1+json)
		echo "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":$config,\"layers\":[$(pick layers)]}" >blob
		echo "{\"schemaVersion\":2,\"manifests\":[$(blob manifest.v1+json)]}" >huge/index.json
		skopeo copy -q oci:huge docker://localhost:5000/huge:$tag
		skopeo copy -q --dest-compress-format zstd oci:huge docker://localhost:5000/zstd:$tag
		skopeo copy -q --dest-compress-format zstd:chunked oci:huge docker://localhost:5000/chunked:$tag
	done
	cd /; rm -r $dir
fi`

// pullNames are the repositories of these images.
var pullNames = []string{"big", "huge", "zstd", "chunked"}

// pull fetches images whose layers do not compress, and ones of which all but the last layer are
// there.
func pull() Group {
	g := Group{Name: "pull", Title: "images from a registry on loopback", Root: hugeScript}
	for _, k := range []struct{ title, name string }{{"40 MB", "big"}, {"500 MB in 20 layers", "huge"}, {"500 MB in 20 layers, zstd", "zstd"}, {"500 MB in 20 layers, zstd:chunked", "chunked"}} {
		share := 0.5
		if k.name != "big" {
			share = 0.1
		}
		first, second := "localhost:5000/"+k.name+":1", "localhost:5000/"+k.name+":2"
		g.Cases = append(g.Cases, pulled(k.title+", cold", "ms", share, first, second), pulled(k.title+", one layer is new", "ms", share, second, first))
		if k.name != "big" {
			g.Cases = append(g.Cases, pulled(k.title+", cold: written", "MB", share/3, first, second), pulled(k.title+", one layer is new: written", "MB", share/3, second, first))
		}
	}
	return g
}

// pulled is the pull of an image by each program, after another one where the title says so; what
// it took, or what it wrote.
func pulled(title, unit string, share float64, ref, other string) Case {
	c := Case{Name: title, Unit: unit, Share: share, Targets: map[string]float64{"podman": 1}}
	for _, who := range []struct{ name, user, program string }{{Ours, "alice", "podunit"}, {"podman", "bob", "podman"}} {
		// The layers of huge are those of zstd and chunked: none may be there already.
		prepare := who.program + " rmi -f -i"
		for _, name := range pullNames {
			prepare += fmt.Sprintf(" localhost:5000/%[1]s:1 localhost:5000/%[1]s:2", name)
		}
		if strings.HasSuffix(ref, ":2") {
			prepare += "; " + who.program + " pull -q " + other
		}
		run := who.program + " pull -q " + ref
		if unit == "MB" {
			run, c.Targets = written(run), map[string]float64{"podman": 1.01}
		}
		c.Contenders = append(c.Contenders, Contender{Name: who.name, User: who.user, Prepare: prepare, Run: run})
	}
	return c
}

// written is a script that prints the megabytes that a command and its children have written to
// files, as the kernel counts them.
func written(command string) string {
	return `bash -c '` + command + ` >/dev/null; awk "/^write_bytes/ { printf \"%.2f\", \$2 / 1e6 }" /proc/$$/io'`
}
