package main

import (
	"bytes"
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/troupe-ml/troupe/cluster/node"
	"github.com/troupe-ml/troupe/cmd/troupe/internal/render"
	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
)

// bearer is a token and what it is good for.
type bearer struct {
	Role  api.Role `json:"role"`
	Token string   `json:"token"`
}

// Sections is the token alone, so that a shell can take it.
func (b bearer) Sections() []render.Section { return []render.Section{{Text: b.Token + "\n"}} }

func (a *app) tokenCommand() *cobra.Command {
	var file string
	c := a.verb("token read|submit|admin", "Print a token for people who use a cluster with a secret", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		role := api.Role(args[0])
		if role != api.Read && role != api.Submit && role != api.Admin {
			return fault.New(fault.Invalid, "token: the role %q is none: expected read, submit or admin", role)
		}
		if file == "" {
			return fault.New(fault.Invalid, "token: name the file with the secret of the cluster's nodes: --secret-file FILE")
		}
		secret, err := os.ReadFile(file)
		if err != nil {
			return fault.New(fault.Invalid, "--secret-file: %w", err)
		}
		token, err := node.Token(bytes.TrimSpace(secret), role)
		if err != nil {
			return fault.New(fault.Invalid, "--secret-file %s: %w", file, err)
		}
		return a.result(bearer{role, token})
	})
	c.Long = `Print the token of a role. read looks and predicts, submit also runs and cancels
jobs, admin also deploys models and drains nodes. Tokens follow from the secret:
every node that others can reach, and that was given no --tokens-file, knows them.`
	c.Example = "  export TROUPE_TOKEN=$(troupe token submit --secret-file secret)"
	c.ValidArgs = []string{string(api.Read), string(api.Submit), string(api.Admin)}
	c.Flags().StringVar(&file, "secret-file", "", "the file with the secret that all nodes share")
	return c
}
