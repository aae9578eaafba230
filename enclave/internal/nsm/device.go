// Package nsm asks the enclave's security module for attestation, randomness and measurement registers.
package nsm

import (
	"context"
	"errors"
	"fmt"

	"github.com/hf/nsm/request"
	"github.com/hf/nsm/response"
)

// queueLength is how many requests may wait for the device. One takes about a millisecond, and the driver serves one
// at a time whatever we do, so that a longer queue would only hide that somebody asks too often.
const queueLength = 64

var (
	// ErrBusy is returned when 64 requests wait already. Trying again later can help.
	ErrBusy = errors.New("nsm: 64 requests wait for the device already")
	// ErrStopped is returned for every request that Run did not send before its context ended.
	ErrStopped = errors.New("nsm: stopped")
)

// CodeError is a refusal by the device itself.
type CodeError struct {
	Op   string             // the request, such as "ExtendPCR 16"
	Code response.ErrorCode // the device's own word, such as ReadOnlyIndex
}

func (e *CodeError) Error() string { return fmt.Sprintf("nsm %s: device answered %s", e.Op, e.Code) }

// Answers of the device that a caller may have to tell apart.
const (
	CodeInvalidIndex  response.ErrorCode = "InvalidIndex"           // no such register
	CodeReadOnlyIndex                    = response.ECReadOnlyIndex // the register is locked
	CodeInputTooLarge                    = response.ECInputTooLarge // a field of more than 1024 bytes
)

// Device lets any number of goroutines use one session, which a single goroutine owns. Its methods return when the
// device has answered, when their context ends, or with [ErrStopped] once Run has ended; before Run they wait.
type Device struct {
	session Session // owned by Run
	calls   chan call
	stopped chan struct{} // closed when Run has sent its last request
}

type call struct {
	op     string
	req    request.Request
	gone   <-chan struct{} // closed when the caller has given up
	result chan<- result   // has room for the one result, so that Run never waits for a caller
}

type result struct {
	res response.Response
	err error
}

// New makes a device of an open session, which Run will close.
func New(s Session) *Device {
	return &Device{session: s, calls: make(chan call, queueLength), stopped: make(chan struct{})}
}

// Run sends requests to the device one after another until ctx ends, then closes the session. A request under way is
// answered first (the driver gives up on a device after two minutes); those that wait are refused. Run is called once.
func (d *Device) Run(ctx context.Context) error {
	defer close(d.stopped)
	for {
		select {
		case <-ctx.Done():
			if err := d.session.Close(); err != nil {
				return fmt.Errorf("close nsm: %w", err)
			}
			return nil
		case c := <-d.calls:
			d.answer(ctx, c)
		}
	}
}

func (d *Device) answer(ctx context.Context, c call) {
	select {
	case <-ctx.Done():
		c.result <- result{err: ErrStopped}
		return
	case <-c.gone:
		return // nobody waits, and an attestation is not free
	default:
	}
	res, err := d.session.Send(c.req)
	switch {
	case err != nil:
		err = fmt.Errorf("nsm %s: %w", c.op, err)
	case res.Error != "":
		err = &CodeError{Op: c.op, Code: res.Error}
	}
	c.result <- result{res: res, err: err}
}

// send puts one request into the queue and waits for its answer.
func (d *Device) send(ctx context.Context, op string, req request.Request) (response.Response, error) {
	got := make(chan result, 1)
	select {
	case <-d.stopped:
		return response.Response{}, ErrStopped
	case d.calls <- call{op: op, req: req, gone: ctx.Done(), result: got}:
	default:
		return response.Response{}, ErrBusy
	}
	select {
	case r := <-got:
		return r.res, r.err
	case <-ctx.Done():
		return response.Response{}, fmt.Errorf("nsm %s: %w", op, context.Cause(ctx))
	case <-d.stopped:
	}
	select {
	case r := <-got: // the last one that Run answered
		return r.res, r.err
	default:
		return response.Response{}, ErrStopped
	}
}
