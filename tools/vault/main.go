// Command vault is HashiCorp Vault built from its Go module for the local
// control plane. Vault is BUSL-licensed: a development tool here, never shipped.
package main

import (
	"os"

	"github.com/hashicorp/vault/command"
)

func main() { os.Exit(command.Run(os.Args[1:])) }
