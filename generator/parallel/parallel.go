// SPDX-License-Identifier: Apache-2.0

// Package parallel spreads independent work over the processors.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// chunk is how many items a worker takes at a time; few items are not worth a second worker.
const chunk = 16

// Each calls do for 0 to n-1, in no certain order, and returns when all calls have.
func Each(n int, do func(int)) {
	workers := min(runtime.GOMAXPROCS(0), n/(2*chunk))
	if workers < 2 {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				from := int(next.Add(chunk)) - chunk
				if from >= n {
					return
				}
				for i := from; i < min(from+chunk, n); i++ {
					do(i)
				}
			}
		})
	}
	wg.Wait()
}
