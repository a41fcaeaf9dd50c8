package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// completion returns "completion", which takes the place of cobra's own.
func (a *app) completion() *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "Print the completion of command lines for a shell",
		Long:      "Print the completion of command lines for a shell. The packages install all of them; by hand: source <(assay completion bash).",
		Args:      args(1, 1),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(c *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return c.Root().GenBashCompletionV2(a.out, true)
			case "zsh":
				return c.Root().GenZshCompletion(a.out)
			case "fish":
				return c.Root().GenFishCompletion(a.out, true)
			}
			return usageError{fmt.Errorf("there is no completion for %q, only for bash, zsh and fish", args[0])}
		},
	}
}

// offers has shells complete the value of a flag, which has to be there.
func offers(c *cobra.Command, flag string, values ...string) {
	if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}
