package dynamodb_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb"
)

func TestMake(t *testing.T) {
	p := newProxy(t)
	o := options(shared.TableName())
	o.Endpoint = p.server.URL
	for i, made := range []int{1, 1} {
		p.spoil(nil)
		if err := dynamodb.Make(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if n := p.requests("CreateTable"); n != made {
			t.Errorf("round %d: %d tables made", i, n)
		}
		if n := p.requests("UpdateContinuousBackups"); n != 1-i {
			t.Errorf("round %d: point-in-time recovery switched on %d times, want %d", i, n, 1-i)
		}
	}
	out, err := shared.Client().DescribeTable(t.Context(), &sdk.DescribeTableInput{TableName: &o.Table})
	if err != nil || !aws.ToBool(out.Table.DeletionProtectionEnabled) || out.Table.BillingModeSummary.BillingMode != types.BillingModePayPerRequest {
		t.Errorf("%+v, %v", out.Table, err)
	}
	open(t, o)

	p.spoil(described(o.Table, "CREATING", ""))
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if err := dynamodb.Make(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a table that is never ready: %v", err)
	}
}

// TestMakeBackups: point-in-time recovery is waited for, and Make says if it could not be had.
func TestMakeBackups(t *testing.T) {
	p := newProxy(t)
	backups := func(fault func(n int) deed) func(string, int) deed {
		return func(operation string, n int) deed {
			if operation != "UpdateContinuousBackups" {
				return pass()
			}
			return fault(n)
		}
	}
	o := options(shared.TableName())
	o.Endpoint = p.server.URL
	p.spoil(backups(first(2, fail(http.StatusBadRequest, "ContinuousBackupsUnavailableException", "not yet"))))
	if err := dynamodb.Make(t.Context(), o); err != nil || p.requests("UpdateContinuousBackups") != 3 {
		t.Errorf("%v, %d requests, want 3", err, p.requests("UpdateContinuousBackups"))
	}
	o.Table = shared.TableName()
	p.spoil(backups(always(fail(http.StatusBadRequest, "AccessDeniedException", "not authorized"))))
	if err := dynamodb.Make(t.Context(), o); err == nil || !strings.Contains(err.Error(), "point-in-time recovery") || !strings.Contains(err.Error(), o.Table) {
		t.Errorf("%v", err)
	}
	open(t, o)
	open(t, o)
	// A table that is there after an answer was lost may be ours.
	o.Table = shared.TableName()
	p.spoil(func(operation string, n int) deed {
		if operation == "CreateTable" && n == 1 {
			return loseAnswer()
		}
		return pass()
	})
	if err := dynamodb.Make(t.Context(), o); err != nil || p.requests("CreateTable") != 2 || p.requests("UpdateContinuousBackups") != 1 {
		t.Errorf("%v, %d tables made, point-in-time recovery switched on %d times", err, p.requests("CreateTable"), p.requests("UpdateContinuousBackups"))
	}
	o.Table = shared.TableName()
	p.spoil(func(operation string, _ int) deed {
		if operation == "CreateTable" {
			return fail(http.StatusBadRequest, "AccessDeniedException", "not authorized to perform: dynamodb:CreateTable")
		}
		return pass()
	})
	if err := dynamodb.Make(t.Context(), o); !errors.Is(err, slashing.ErrUnavailable) || !strings.Contains(err.Error(), "CreateTable") {
		t.Errorf("%v", err)
	}
}
