// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"io"
	"os"

	"github.com/podunit/podunit/contrib/lab/cache"
)

// Make fills.
func Make(ctx context.Context, c cache.Dir, log io.Writer) (string, error) {
	return c.Make("images-none", func(dir string) error { return os.MkdirAll(dir+"/var/lib/docker-registry", 0o755) })
}
