package main

import "github.com/spf13/cobra"

func (a *app) dataCommand() *cobra.Command { return group("data", "x") }
func (a *app) initCommand() *cobra.Command { return group("init", "x") }
