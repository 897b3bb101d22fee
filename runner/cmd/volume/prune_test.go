// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/view"
)

// TestTheQuestionListsWhatWouldGo: each of the volumes, those without a name of their own as well.
func TestTheQuestionListsWhatWouldGo(t *testing.T) {
	got := question([]view.VolumeRow{{Name: "data"}, {Name: "4f2a", Anonymous: true}})
	if !strings.HasSuffix(got, ":\n  data\n  4f2a (anonymous)") {
		t.Errorf("%q", got)
	}
}
