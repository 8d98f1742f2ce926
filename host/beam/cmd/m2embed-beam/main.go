// Command m2embed-beam runs the shards of "m2embed batch" on Apache Beam: it
// builds the pipeline, hands it to a runner, and is the program that runs in the
// workers. "m2embed batch --runner …" starts it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/dataflow"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/flink"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/spark"
)

// flags of the command; Beam's own stand beside them.
var (
	folder  = flag.String("folder", "", "`folder` that \"m2embed batch\" has prepared; all workers see it by this name")
	runner  = flag.String("runner", "prism", "`prism|flink|spark|dataflow`")
	workers = flag.Int("workers", 1, "`number` of jobs at the same time, each with a worker of its own")
	part    = flag.String("part", "", "`I/N`: only the shards of this of the jobs")
	model   = flag.String("model", "", "`folder` or file of the model, also on one of Beam's file systems; without it the one that is built in")
	engine  = flag.String("engine", "", "what runs the model (default: this processor)")
	threads = flag.Int("threads", 0, "`number` of threads of a forward pass (default: the processors, shared by the jobs)")
	tied    = flag.Bool("tied", false, "stop when standard input ends, so as not to outlive what holds its other end")
	serve   = flag.Int("job-service", 0, "be Prism's job service at this `port`, and nothing else")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "m2embed-beam: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if id, endpoint, ok := bootFlags(args); ok {
		return boot(ctx, id, endpoint)
	}
	if err := flag.CommandLine.Parse(args); err != nil {
		return err
	}
	beam.Init() // a worker in a container does not return from here
	if *tied {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		go tie(stop)
	}
	switch {
	case *serve > 0:
		return servePrism(ctx, *serve)
	case *folder == "" || flag.NArg() > 0:
		return errors.New("want --folder, and no arguments")
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	if *jobopts.EnvironmentType == "" {
		*jobopts.EnvironmentType = "LOOPBACK"
	}
	if strings.EqualFold(*jobopts.EnvironmentType, "PROCESS") && *jobopts.EnvironmentConfig == "" {
		*jobopts.EnvironmentConfig = fmt.Sprintf(`{"command": %q}`, own)
	}
	if *jobopts.WorkerBinary == "" {
		*jobopts.WorkerBinary = own
	}
	if *jobopts.Endpoint == "" && *runner == "prism" {
		port, err := freePort()
		if err != nil {
			return err
		}
		if _, err := prism.CreateJobServer(ctx, prism.Options{Port: port}); err != nil {
			return err
		}
		*jobopts.Endpoint = fmt.Sprintf("localhost:%d", port)
	}
	if *workers > 1 {
		return runJobs(ctx, own, *workers)
	}
	return runJob(ctx)
}

// grace is how long a process that is told to stop may take to do so.
const grace = 10 * time.Second

// tie stops this process when standard input ends. The other end closes even
// when the process that holds it is killed, which no signal tells of.
func tie(stop func()) {
	io.Copy(io.Discard, os.Stdin)
	stop()
	time.Sleep(grace)
	fmt.Fprintln(os.Stderr, "m2embed-beam: what started it is gone")
	os.Exit(1)
}

// servePrism is a job service until the context ends.
func servePrism(ctx context.Context, port int) error {
	if _, err := prism.CreateJobServer(ctx, prism.Options{Port: port}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
