// Package base is m2-bert-base, the larger model; README.md is its card. Programs
// that want it inside are built with the tag m2embed_base:
//
//	model, err := host.OpenFS(base.Files, host.Options{})
//
// Without the tag [Files] is nil, so that nobody carries 17 MB who does not ask
// for them: host.Open takes the folder's path.
package base

// Name is the name of the model.
const Name = "m2-bert-base"
