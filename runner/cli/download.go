// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// downloadTime is how long a download may take.
const downloadTime = time.Minute

// Download gets what an address of the web has, no more bytes of it than limit, and the header of
// the answer. No error shows a password of the address.
func Download(ctx context.Context, address string, limit int64) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if bad := (*url.Error)(nil); errors.As(err, &bad) {
		err = fmt.Errorf("an address of the web: %w", bad.Err)
	}
	if err != nil {
		return nil, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s: the server says %s", req.URL.Redacted(), resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	return data, resp.Header, err
}
