package main

import (
	"fmt"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/domain"
)

type versionCmd struct{}

func (versionCmd) Run(con console) error {
	fmt.Fprintf(con.out, "orbit %s\ncatalog %s\n", app.Build(), domain.CatalogHash())
	return nil
}
