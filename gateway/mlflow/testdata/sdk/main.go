// Command sdk talks to a tracking server at the address of its argument as users
// of Databricks' Go client do, and ends with an error where it is not answered as
// that expects. It is a module of its own: Troupe itself does not need the client.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/databricks/databricks-sdk-go"
	"github.com/databricks/databricks-sdk-go/service/ml"
)

var ctx = context.Background()

func main() {
	w, err := databricks.NewWorkspaceClient(&databricks.Config{Host: os.Args[1], Token: os.Args[2], AuthType: "pat"})
	must("open", err)
	run := tracking(w.Experiments)
	logged(w.Experiments, w.ModelRegistry, run)
	registry(w.ModelRegistry, run)
	_, err = w.Experiments.GetRun(ctx, ml.GetRunRequest{RunId: "nope"})
	want("a run that is not there is an error", err != nil, true)
	_, err = w.Experiments.CreateExperiment(ctx, ml.CreateExperiment{Name: "sdk"})
	want("a name that is taken is an error", err != nil, true)
	fmt.Println("done")
}

func tracking(e ml.ExperimentsInterface) (run string) {
	x, err := e.CreateExperiment(ctx, ml.CreateExperiment{Name: "sdk", Tags: []ml.ExperimentTag{{Key: "team", Value: "risk"}}})
	must("create experiment", err)
	got, err := e.GetExperiment(ctx, ml.GetExperimentRequest{ExperimentId: x.ExperimentId})
	must("get experiment", err)
	want("its name", got.Experiment.Name, "sdk")
	named, err := e.GetByName(ctx, ml.GetByNameRequest{ExperimentName: "sdk"})
	must("get by name", err)
	want("its id", named.Experiment.ExperimentId, x.ExperimentId)
	must("set experiment tag", e.SetExperimentTag(ctx, ml.SetExperimentTag{ExperimentId: x.ExperimentId, Key: "a", Value: "b"}))
	found, err := e.SearchExperimentsAll(ctx, ml.SearchExperiments{Filter: "tags.team = 'risk'", MaxResults: 1})
	must("search experiments", err)
	want("experiments", len(found), 1)

	r, err := e.CreateRun(ctx, ml.CreateRun{ExperimentId: x.ExperimentId, RunName: "first", StartTime: 1700000000000, Tags: []ml.RunTag{{Key: "k", Value: "v"}}})
	must("create run", err)
	run = r.Run.Info.RunId
	must("log param", e.LogParam(ctx, ml.LogParam{RunId: run, Key: "lr", Value: "0.1"}))
	for i := range 5 {
		must("log metric", e.LogMetric(ctx, ml.LogMetric{RunId: run, Key: "loss", Value: 1 / float64(i+1), Step: int64(i), Timestamp: 1700000000000 + int64(i)}))
	}
	must("log batch", e.LogBatch(ctx, ml.LogBatch{
		RunId: run, Metrics: []ml.Metric{{Key: "auc", Value: .9, Timestamp: 1700000000001, Step: 1}},
		Params: []ml.Param{{Key: "depth", Value: "3"}}, Tags: []ml.RunTag{{Key: "x", Value: "y"}},
	}))
	must("set tag", e.SetTag(ctx, ml.SetTag{RunId: run, Key: "z", Value: "1"}))
	must("delete tag", e.DeleteTag(ctx, ml.DeleteTag{RunId: run, Key: "z"}))
	points, err := e.GetHistoryAll(ctx, ml.GetHistoryRequest{RunId: run, MetricKey: "loss", MaxResults: 2})
	must("history", err)
	want("points", len(points), 5)
	_, err = e.UpdateRun(ctx, ml.UpdateRun{RunId: run, Status: ml.UpdateRunStatusFinished, EndTime: 1700000009000})
	must("update run", err)
	full, err := e.GetRun(ctx, ml.GetRunRequest{RunId: run})
	must("get run", err)
	want("status", full.Run.Info.Status, ml.RunInfoStatusFinished)
	want("metrics", len(full.Run.Data.Metrics), 2)
	want("params", len(full.Run.Data.Params), 2)
	runs, err := e.SearchRunsAll(ctx, ml.SearchRuns{
		ExperimentIds: []string{x.ExperimentId}, Filter: "metrics.auc > 0.5 and params.lr = '0.1'", OrderBy: []string{"metrics.loss ASC"}, MaxResults: 1,
	})
	must("search runs", err)
	want("runs", len(runs), 1)
	_, err = e.ListArtifactsAll(ctx, ml.ListArtifactsRequest{RunId: run})
	must("list artifacts", err)
	must("delete run", e.DeleteRun(ctx, ml.DeleteRun{RunId: run}))
	must("restore run", e.RestoreRun(ctx, ml.RestoreRun{RunId: run}))
	must("log model", e.LogModel(ctx, ml.LogModel{RunId: run, ModelJson: `{"artifact_path":"model","flavors":{},"run_id":"` + run + `","utc_time_created":"2026-11-29 00:00:00"}`}))
	must("log inputs", e.LogInputs(ctx, ml.LogInputs{RunId: run, Datasets: []ml.DatasetInput{{Dataset: ml.Dataset{Name: "d", Digest: "1", SourceType: "local", Source: "{}"}}}}))
	return run
}

// logged does what today's clients do when they log a model.
func logged(e ml.ExperimentsInterface, registry ml.ModelRegistryInterface, run string) {
	r, err := e.GetRun(ctx, ml.GetRunRequest{RunId: run})
	must("get run", err)
	experiment := r.Run.Info.ExperimentId
	made, err := e.CreateLoggedModel(ctx, ml.CreateLoggedModelRequest{
		ExperimentId: experiment, Name: "fraud", ModelType: "Classifier", SourceRunId: run,
		Params: []ml.LoggedModelParameter{{Key: "depth", Value: "3"}}, Tags: []ml.LoggedModelTag{{Key: "team", Value: "risk"}},
	})
	must("create logged model", err)
	id := made.Model.Info.ModelId
	want("status", made.Model.Info.Status, ml.LoggedModelStatusLoggedModelPending)
	must("log outputs", e.LogOutputs(ctx, ml.LogOutputsRequest{RunId: run, Models: []ml.ModelOutput{{ModelId: id, Step: 4}}}))
	must("log inputs", e.LogInputs(ctx, ml.LogInputs{RunId: run, Models: []ml.ModelInput{{ModelId: id}}}))
	must("log params", e.LogLoggedModelParams(ctx, ml.LogLoggedModelParamsRequest{ModelId: id, Params: []ml.LoggedModelParameter{{Key: "lr", Value: "0.1"}}}))
	must("set tags", e.SetLoggedModelTags(ctx, ml.SetLoggedModelTagsRequest{ModelId: id, Tags: []ml.LoggedModelTag{{Key: "a", Value: "b"}, {Key: "c", Value: "d"}}}))
	must("delete tag", e.DeleteLoggedModelTag(ctx, ml.DeleteLoggedModelTagRequest{ModelId: id, TagKey: "a"}))
	must("log metric", e.LogMetric(ctx, ml.LogMetric{RunId: run, Key: "auc", Value: .8, Timestamp: 1700000000000, ModelId: id, DatasetName: "test", DatasetDigest: "1"}))
	must("log batch", e.LogBatch(ctx, ml.LogBatch{RunId: run, Metrics: []ml.Metric{{Key: "f1", Value: .7, Timestamp: 1700000000000, Step: 2, ModelId: id}}}))
	_, err = e.FinalizeLoggedModel(ctx, ml.FinalizeLoggedModelRequest{ModelId: id, Status: ml.LoggedModelStatusLoggedModelReady})
	must("finalize", err)
	got, err := e.GetLoggedModel(ctx, ml.GetLoggedModelRequest{ModelId: id})
	must("get logged model", err)
	want("status", got.Model.Info.Status, ml.LoggedModelStatusLoggedModelReady)
	want("run", got.Model.Info.SourceRunId, run)
	want("params", len(got.Model.Data.Params), 2)
	want("tags", len(got.Model.Info.Tags), 2)
	want("metrics", len(got.Model.Data.Metrics), 2)
	auc := got.Model.Data.Metrics[0]
	want("a metric", fmt.Sprint(auc.Key, auc.Value, auc.Timestamp, auc.ModelId, auc.DatasetName, auc.DatasetDigest, auc.RunId), fmt.Sprint("auc", .8, 1700000000000, id, "test", "1", run))
	found, err := e.SearchLoggedModels(ctx, ml.SearchLoggedModelsRequest{
		ExperimentIds: []string{experiment}, Filter: "metrics.auc > 0.5 AND params.depth = '3'", Datasets: []ml.SearchLoggedModelsDataset{{DatasetName: "test"}},
		OrderBy: []ml.SearchLoggedModelsOrderBy{{FieldName: "metrics.auc", DatasetName: "test"}}, MaxResults: 10,
	})
	must("search logged models", err)
	want("logged models", len(found.Models), 1)
	r, err = e.GetRun(ctx, ml.GetRunRequest{RunId: run})
	must("get run", err)
	want("model inputs", len(r.Run.Inputs.ModelInputs), 1)
	_, err = registry.CreateModel(ctx, ml.CreateModelRequest{Name: "logged"})
	must("create model", err)
	_, err = registry.CreateModelVersion(ctx, ml.CreateModelVersionRequest{Name: "logged", Source: "models:/" + id})
	must("register logged model", err)
	must("delete model", registry.DeleteModel(ctx, ml.DeleteModelRequest{Name: "logged"}))
	must("delete logged model", e.DeleteLoggedModel(ctx, ml.DeleteLoggedModelRequest{ModelId: id}))
	_, err = e.GetLoggedModel(ctx, ml.GetLoggedModelRequest{ModelId: id})
	want("a model that was deleted is an error", err != nil, true)
}

func registry(m ml.ModelRegistryInterface, run string) {
	_, err := m.CreateModel(ctx, ml.CreateModelRequest{Name: "fraud", Description: "d"})
	must("create model", err)
	v, err := m.CreateModelVersion(ctx, ml.CreateModelVersionRequest{Name: "fraud", Source: "runs:/" + run + "/model", RunId: run})
	must("create version", err)
	want("its number", v.ModelVersion.Version, "1")
	models, err := m.ListModelsAll(ctx, ml.ListModelsRequest{MaxResults: 10})
	must("list models", err)
	want("models", len(models), 1)
	models, err = m.SearchModelsAll(ctx, ml.SearchModelsRequest{Filter: "name = 'fraud'", MaxResults: 10})
	must("search models", err)
	want("models", len(models), 1)
	versions, err := m.SearchModelVersionsAll(ctx, ml.SearchModelVersionsRequest{Filter: "name = 'fraud'", MaxResults: 10})
	must("search versions", err)
	want("versions", len(versions), 1)
	_, err = m.UpdateModelVersion(ctx, ml.UpdateModelVersionRequest{Name: "fraud", Version: "1", Description: "x"})
	must("update version", err)
	must("set version tag", m.SetModelVersionTag(ctx, ml.SetModelVersionTagRequest{Name: "fraud", Version: "1", Key: "a", Value: "b"}))
	one, err := m.GetModelVersion(ctx, ml.GetModelVersionRequest{Name: "fraud", Version: "1"})
	must("get version", err)
	want("its description", one.ModelVersion.Description, "x")
	latest, err := m.GetLatestVersionsAll(ctx, ml.GetLatestVersionsRequest{Name: "fraud"})
	must("latest versions", err)
	want("latest versions", len(latest), 1)
	_, err = m.RenameModel(ctx, ml.RenameModelRequest{Name: "fraud", NewName: "risk"})
	must("rename model", err)
	must("delete version", m.DeleteModelVersion(ctx, ml.DeleteModelVersionRequest{Name: "risk", Version: "1"}))
	must("delete model", m.DeleteModel(ctx, ml.DeleteModelRequest{Name: "risk"}))
}

func must(what string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
}

func want[T comparable](what string, got, expected T) {
	if got != expected {
		fmt.Printf("%s: %v, expected %v\n", what, got, expected)
		os.Exit(1)
	}
}
