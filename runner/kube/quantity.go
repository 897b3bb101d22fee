// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"math/big"
	"strings"
)

// suffixes are the letters at the end of a quantity and the power that they stand for, the longer
// ones first. Source: kubernetes.io, Quantity.
var suffixes = []struct {
	letters        string
	base, exponent int64
}{
	{"Ki", 2, 10}, {"Mi", 2, 20}, {"Gi", 2, 30}, {"Ti", 2, 40}, {"Pi", 2, 50}, {"Ei", 2, 60},
	{"n", 10, -9}, {"u", 10, -6}, {"m", 10, -3}, {"k", 10, 3}, {"M", 10, 6}, {"G", 10, 9}, {"T", 10, 12}, {"P", 10, 15}, {"E", 10, 18}, {"", 10, 0},
}

func power(base, exponent int64) *big.Rat {
	n := new(big.Int).Exp(big.NewInt(base), big.NewInt(max(exponent, -exponent)), nil)
	if exponent < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), n)
	}
	return new(big.Rat).SetInt(n)
}

// divided rounds amount / divisor up. The divisor is a quantity as package manifest has read and
// written it. It is taken in thousandths, rounded up, as Kubernetes does. Documents are read with
// Kubernetes' own code; this is for the starts of containers, which need no more of it.
func divided(amount int64, divisor string) (string, error) {
	var by *big.Rat
	for _, s := range suffixes {
		if number, found := strings.CutSuffix(divisor, s.letters); found && strings.Trim(number, "0123456789.") == "" {
			if by, found = new(big.Rat).SetString(number); found {
				by.Mul(by, power(s.base, s.exponent))
			}
			break
		}
	}
	if number := strings.Trim(divisor, "0123456789.eE-"); by == nil && number == "" {
		by, _ = new(big.Rat).SetString(divisor) // 1e3
	}
	if by == nil || by.Sign() <= 0 {
		return "", fmt.Errorf("%q is no divisor", divisor)
	}
	thousandths := ceiling(by.Mul(by, big.NewRat(1000, 1)))
	whole := new(big.Int).Mul(big.NewInt(amount), big.NewInt(1000))
	return ceiling(new(big.Rat).SetFrac(whole, thousandths)).String(), nil
}

// ceiling is the smallest whole number that is not less.
func ceiling(r *big.Rat) *big.Int {
	n, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		n.Add(n, big.NewInt(1))
	}
	return n
}
