package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// traceTime bounds the sending of what is left when the server stops.
const traceTime = 5 * time.Second

// traces returns what makes spans and what sends the last of them: by OTLP over
// HTTP, if OpenTelemetry's environment variables name an endpoint. Headers,
// sampling and resource are taken from its variables, too.
func traces(ctx context.Context) (trace.Tracer, func() error, error) {
	wanted := os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	if !wanted || os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return nil, func() error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("traces: %w", err)
	}
	about, err := resource.Merge(resource.NewSchemaless(attribute.String("service.name", "m2embed")), resource.Environment())
	if err != nil {
		return nil, nil, fmt.Errorf("traces: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	stop := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), traceTime)
		defer cancel()
		return provider.Shutdown(ctx)
	}
	return provider.Tracer("m2embed/host/server"), stop, nil
}
