// Command crashing is the signer, but it kills itself at a named moment of the write of one vote.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, args, stdout); err != nil {
		fmt.Fprintln(stderr, "crashing:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, args []string, stdout io.Writer) error {
	var at moment
	flags := flag.NewFlagSet("crashing", flag.ContinueOnError)
	path := flags.String("c", "", "configuration file")
	flags.StringVar(&at.point, "point", "", "where to die: asked, recorded or signing; nowhere if empty")
	flags.Uint64Var(&at.height, "height", 0, "target or slot of the vote to die with")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := at.check(); err != nil {
		return err
	}
	cfg, err := config.Load(config.Sources{Path: *path})
	if err != nil {
		return err
	}
	return app.Run(ctx, app.Options{Platform: platform(at), Config: cfg, Stdout: stdout})
}

// platform is that of a signer alone, whose stores die at a moment.
func platform(at moment) app.Platform {
	stores := map[string]app.OpenStore{
		"dynamodb": app.DynamoDB(fromEnvironment),
		"postgres": app.Postgres(app.NoCredentials),
		"sqlite": func(ctx context.Context, c config.AntiSlashing, _ egress.DialFunc) (slashing.Store, error) {
			return sqlite.Open(ctx, c.SQLite.Path)
		},
	}
	for name, open := range stores {
		stores[name] = at.in(open)
	}
	return app.Platform{Name: "none", Direct: new(net.Dialer).DialContext, Backends: app.Backends{Slashing: stores}}
}

// fromEnvironment finds the credentials that the test made up.
func fromEnvironment(context.Context, string, egress.DialFunc) (aws.CredentialsProvider, error) {
	return credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""), nil
}
