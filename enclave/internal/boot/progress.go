package boot

import (
	"context"
	"sync"
)

// Progress tells how far the start has come. It is safe for concurrent use.
type Progress struct {
	mu     sync.Mutex // held while the fields below are read or changed
	stage  string
	reason error // why the stage is not done yet, as far as one is known
	done   bool
}

// NewProgress makes the progress of a process that has not begun its first stage.
func NewProgress() *Progress { return &Progress{stage: "start"} }

// Missing is the stage that is not done, with the last reason it gave; done is true when all are.
func (p *Progress) Missing() (stage string, reason error, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stage, p.reason, p.done
}

// Retrying tells the progress why the stage that ctx belongs to is not done yet; it will be tried again. It does nothing outside a stage.
func Retrying(ctx context.Context, reason error) {
	if p, ok := ctx.Value(progressKey{}).(*Progress); ok {
		p.retrying(reason)
	}
}

type progressKey struct{}

func (p *Progress) begin(stage string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stage, p.reason = stage, nil
}

func (p *Progress) retrying(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reason = reason
}

func (p *Progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stage, p.reason, p.done = "", nil, true
}
