// River on PostgreSQL, with an HTTP door of net/http: `migrate`, `analyse`, `web` or `worker`.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// As many connections as the other peer on PostgreSQL has.
const maxConns = 20

// NothingArgs is the payload of a job.
type NothingArgs struct {
	Sent int64 `json:"sent"`
}

// Kind names the job's type.
func (NothingArgs) Kind() string { return "nothing" }

// NothingWorker completes at once; River reports the end once.
type NothingWorker struct {
	river.WorkerDefaults[NothingArgs]
}

// Work does nothing.
func (NothingWorker) Work(context.Context, *river.Job[NothingArgs]) error { return nil }

// Create is the same body as our facade's.
type Create struct {
	InvokeType      string      `json:"invokeType"`
	CreationPayload NothingArgs `json:"creationPayload"`
}

var states = map[rivertype.JobState]string{
	rivertype.JobStateCompleted: "Completed",
	rivertype.JobStateDiscarded: "Failed",
	rivertype.JobStateCancelled: "Cancelled",
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config, err := pgxpool.ParseConfig(os.Getenv("BENCH_BACKEND"))
	check(err)
	config.MaxConns = maxConns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	check(err)
	defer pool.Close()
	switch os.Args[1] {
	case "migrate":
		migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
		check(err)
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		check(err)
	case "analyse":
		_, err := pool.Exec(ctx, "ANALYZE")
		check(err)
	case "web":
		web(pool)
	case "worker":
		work(ctx, pool)
	}
}

// web inserts jobs and reads their states. Polls use River's id, which the answer to a create has.
func web(pool *pgxpool.Pool) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	check(err)
	routes := http.NewServeMux()
	routes.HandleFunc("POST /jobs/{id}", func(answer http.ResponseWriter, request *http.Request) {
		var create Create
		if err := json.NewDecoder(request.Body).Decode(&create); err != nil {
			http.Error(answer, err.Error(), http.StatusBadRequest)
			return
		}
		inserted, err := client.Insert(request.Context(), create.CreationPayload, nil)
		if err != nil {
			http.Error(answer, err.Error(), http.StatusServiceUnavailable)
			return
		}
		answer.WriteHeader(http.StatusAccepted)
		fmt.Fprint(answer, inserted.Job.ID)
	})
	routes.HandleFunc("GET /jobs/{id}", func(answer http.ResponseWriter, request *http.Request) {
		id, err := strconv.ParseInt(request.PathValue("id"), 10, 64)
		if err != nil {
			http.Error(answer, err.Error(), http.StatusBadRequest)
			return
		}
		job, err := client.JobGet(request.Context(), id)
		if err != nil {
			http.Error(answer, err.Error(), http.StatusServiceUnavailable)
			return
		}
		status, final := states[job.State]
		if !final {
			status = "InProgress"
		}
		answer.Header().Set("Content-Type", "application/json")
		check(json.NewEncoder(answer).Encode(map[string]string{"status": status}))
	})
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Printf("web ready url=http://%s/jobs/\n", listening.Addr())
	check(http.Serve(listening, routes))
}

// work runs the jobs until it is stopped.
func work(ctx context.Context, pool *pgxpool.Pool) {
	slots, err := strconv.Atoi(os.Getenv("BENCH_SLOTS"))
	check(err)
	workers := river.NewWorkers()
	river.AddWorker(workers, &NothingWorker{})
	var client *river.Client[pgx.Tx]
	client, err = river.NewClient(riverpgxv5.New(pool), &river.Config{
		// Fetched every 100 ms, as by default, the slots would run ten times as many jobs a second.
		FetchCooldown: 10 * time.Millisecond,
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: slots}},
		Workers:       workers,
	})
	check(err)
	check(client.Start(ctx))
	fmt.Println("worker ready")
	<-client.Stopped()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
