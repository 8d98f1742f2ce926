package siteindex

import "embed"

// scripts are those of the element m2embed-search, as site/build.sh element makes
// them; where they have not been made there is only their README.
//
//go:embed scripts
var scripts embed.FS

func hasScripts() bool {
	_, err := scripts.Open("scripts/m2embed-search.js")
	return err == nil
}
