package main

import (
	"context"
	"strings"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
)

// bootFlags are those with which a runner of the environment PROCESS starts a
// worker. Prism puts the id in quotes.
func bootFlags(args []string) (id, endpoint string, ok bool) {
	for _, a := range args {
		if v, found := strings.CutPrefix(a, "--id="); found {
			id = strings.Trim(v, "'")
		}
		if v, found := strings.CutPrefix(a, "--provision_endpoint="); found {
			endpoint = v
		}
	}
	return id, endpoint, id != "" && endpoint != ""
}

// boot asks the runner where its services are and is a worker from then on.
// There is nothing to fetch: the program that was started is the worker.
func boot(ctx context.Context, id, endpoint string) error {
	ctx = grpcx.WriteWorkerID(ctx, id)
	info, err := tools.ProvisionInfo(ctx, endpoint)
	if err != nil {
		return err
	}
	runtime.Init()
	return harness.MainWithOptions(ctx, info.GetLoggingEndpoint().GetUrl(), info.GetControlEndpoint().GetUrl(), harness.Options{
		RunnerCapabilities: info.GetRunnerCapabilities(),
		StatusEndpoint:     info.GetStatusEndpoint().GetUrl(),
	})
}
