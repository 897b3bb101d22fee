// SPDX-License-Identifier: Apache-2.0

package terminal

import "net/url"

// Address is an address of the web as messages have it: with xxxxx in the place of a password.
func Address(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "an address that is none"
	}
	return u.Redacted()
}
