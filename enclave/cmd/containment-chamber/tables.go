package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
)

// newTablesCommand makes "tables", which works on the DynamoDB tables of the chamber without a signer. That of the slashing record is made by
// "slashing migrate".
func newTablesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tables",
		Short: "Make the chamber's DynamoDB tables, or put them right after a restore",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTablesMake(), newTablesRecount())
	return cmd
}

func newTablesMake() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "make",
		Short: "Make the DynamoDB tables of the signer state and of the stored keys that are not there",
		Long: `Make the DynamoDB tables that the configuration names for the signer state and the stored keys, with on-demand capacity,
deletion protection and point-in-time recovery. One that is there is checked and stays as it is. No signer makes a table.
It needs the rights dynamodb:CreateTable, DescribeTable and UpdateContinuousBackups.`,
		Args: usage(cobra.NoArgs),
	}
	load := loader(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		made, err := app.MakeChamberTables(cmd.Context(), awsCredentials, cfg, egress.Direct())
		for _, name := range made {
			fmt.Fprintf(cmd.OutOrStdout(), "table %s can be used\n", name)
		}
		return err
	}
	return cmd
}

func newTablesRecount() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recount",
		Short: "Count the stored keys of a restored DynamoDB table again",
		Long: `Count the stored keys of a DynamoDB table again after it was restored, while nobody changes keys: DynamoDB restores items of up
to a second apart, and signers load no table whose counts are not true. No key is changed. It needs the rights
dynamodb:DescribeTable, GetItem, PutItem, UpdateItem and Scan.`,
		Args: usage(cobra.NoArgs),
	}
	load := loader(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		if err := app.RecountKeys(cmd.Context(), awsCredentials, cfg, egress.Direct()); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "table %s is counted\n", cfg.KeySources.DynamoDB.Table)
		return err
	}
	return cmd
}
