// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	if err != nil { // which shows a part of the address: it may be one of the password
		return nil, nil, errors.New("it is no address of the web, as https://HOST/FILE; in a password %2F stands for a /, %25 for a % and %40 for an @")
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
