// SPDX-License-Identifier: Apache-2.0

package update

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Limits of what is asked at once, and of how long one question and one registry may take in all.
// Questions for a digest are small, and what a person sees is how long the slowest registry takes.
const (
	perRegistry     = 20
	questionTimeout = time.Minute
	registryTimeout = 5 * time.Minute
)

// answered is an answer or the reason why there is none.
type answered struct {
	Answer
	err error
}

// askAll asks every question once, each with the image that is here: registries side by side, and
// of each at most perRegistry questions at a time. jitter delays the first question to each
// registry by a random part of itself, so that machines whose timers fire together do not ask
// together. A registry that is not done within registryTimeout fails the rest of its questions.
func askAll(ctx context.Context, images Images, questions map[Question]*Image, jitter time.Duration) map[Question]answered {
	byRegistry := make(map[string][]Question)
	for q := range questions {
		host := registryOf(q.Reference)
		byRegistry[host] = append(byRegistry[host], q)
	}
	var (
		mu  sync.Mutex
		all = make(map[Question]answered, len(questions))
		wg  sync.WaitGroup
	)
	for host, list := range byRegistry {
		wg.Go(func() {
			if jitter > 0 {
				select {
				case <-ctx.Done():
				case <-time.After(rand.N(jitter)):
				}
			}
			limit, cancel := context.WithTimeoutCause(ctx, registryTimeout, fmt.Errorf("registry %s did not answer all within %s", host, registryTimeout))
			defer cancel()
			turns := make(chan struct{}, perRegistry)
			var asked sync.WaitGroup
			for _, q := range list {
				turns <- struct{}{}
				asked.Go(func() {
					defer func() { <-turns }()
					var a answered
					if a.err = context.Cause(limit); a.err == nil {
						one, done := context.WithTimeoutCause(limit, questionTimeout, fmt.Errorf("registry %s did not answer within %s", host, questionTimeout))
						a.Answer, a.err = images.Newer(one, q, questions[q])
						if cause := context.Cause(one); a.err != nil && cause != nil && !errors.Is(a.err, cause) {
							a.err = fmt.Errorf("%w: %w", cause, a.err)
						}
						done()
					}
					mu.Lock()
					defer mu.Unlock()
					all[q] = a
				})
			}
			asked.Wait()
		})
	}
	wg.Wait()
	return all
}
