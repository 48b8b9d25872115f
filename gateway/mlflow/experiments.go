package mlflow

import (
	"context"
	"maps"
	"slices"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/query"
	"github.com/troupe-ml/troupe/registry/runs"
)

type experiment struct {
	ID        string  `json:"experiment_id"`
	Name      string  `json:"name"`
	Location  string  `json:"artifact_location"`
	Lifecycle string  `json:"lifecycle_stage"`
	Changed   integer `json:"last_update_time,omitempty"`
	Created   integer `json:"creation_time,omitempty"`
	Tags      []pair  `json:"tags,omitempty"`
}

type experimentAnswer struct {
	Experiment experiment `json:"experiment"`
}

type experimentID struct {
	ID string `json:"experiment_id"`
}

// lifecycle is how MLflow says that something is deleted or not.
func lifecycle(deleted bool) string {
	if deleted {
		return "deleted"
	}
	return "active"
}

func experimentOf(x runs.Experiment) experiment {
	out := experiment{
		ID: x.ID, Name: x.Name, Location: x.Location, Lifecycle: lifecycle(!x.Deleted.IsZero()),
		Changed: millis(x.Changed), Created: millis(x.Created), Tags: pairsOf(x.Tags),
	}
	if out.Location == "" {
		out.Location = "mlflow-artifacts:/" + x.ID
	}
	return out
}

// pairsOf lists a map by its keys.
func pairsOf(m map[string]string) []pair {
	var list []pair
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, pair{key, m[key]})
	}
	return list
}

func (s *Server) experimentRoutes() {
	on(s, "POST", "experiments/create", api.Submit, s.createExperiment)
	on(s, "GET POST", "experiments/search", api.Read, s.searchExperiments)
	on(s, "GET", "experiments/list", api.Read, s.searchExperiments) // of version 1
	on(s, "GET", "experiments/get", api.Read, func(ctx context.Context, in *experimentID) (*experimentAnswer, error) {
		x, err := s.cfg.Registry.Runs.Experiments.Show(ctx, in.ID)
		return &experimentAnswer{experimentOf(x)}, err
	})
	on(s, "GET", "experiments/get-by-name", api.Read, func(ctx context.Context, in *struct {
		Name string `json:"experiment_name"`
	}) (*experimentAnswer, error) {
		x, err := s.cfg.Registry.Runs.Experiments.Named(ctx, in.Name)
		return &experimentAnswer{experimentOf(x)}, err
	})
	on(s, "POST", "experiments/delete", api.Submit, func(ctx context.Context, in *experimentID) (*none, error) {
		return &none{}, s.cfg.Registry.Runs.Experiments.Delete(ctx, in.ID, s.cfg.Clock.Now().UTC())
	})
	on(s, "POST", "experiments/restore", api.Submit, func(ctx context.Context, in *experimentID) (*none, error) {
		return &none{}, s.cfg.Registry.Runs.Experiments.Restore(ctx, in.ID, s.cfg.Clock.Now().UTC())
	})
	on(s, "POST", "experiments/update", api.Submit, func(ctx context.Context, in *struct {
		experimentID
		Name string `json:"new_name"`
	}) (*none, error) {
		return &none{}, exists(s.cfg.Registry.Runs.Experiments.Rename(ctx, in.ID, in.Name, s.cfg.Clock.Now().UTC()))
	})
	on(s, "POST", "experiments/set-experiment-tag", api.Submit, func(ctx context.Context, in *struct {
		experimentID
		pair
	}) (*none, error) {
		if err := checkTag(in.pair); err != nil {
			return nil, err
		}
		return &none{}, s.cfg.Registry.Runs.Experiments.Tag(ctx, in.ID, in.Key, in.Value, s.cfg.Clock.Now().UTC())
	})
	on(s, "POST", "experiments/delete-experiment-tag", api.Submit, func(ctx context.Context, in *struct {
		experimentID
		pair
	}) (*none, error) {
		return &none{}, s.cfg.Registry.Runs.Experiments.Untag(ctx, in.ID, in.Key, s.cfg.Clock.Now().UTC())
	})
}

// maxTag is the length of the longest tag.
const maxTag = 8000

func checkTag(t pair) error {
	if len(t.Value) > maxTag {
		return fault.New(fault.Invalid, "the tag %q has %d bytes: at most %d are kept", t.Key, len(t.Value), maxTag)
	}
	return runs.CheckKey("tag", t.Key)
}

// tagsOf makes tags of a list; of two with the same key the later wins.
func tagsOf(list []pair) (map[string]string, error) {
	tags := make(map[string]string, len(list))
	for _, t := range list {
		if err := checkTag(t); err != nil {
			return nil, err
		}
		tags[t.Key] = t.Value
	}
	return tags, nil
}

type createExperiment struct {
	Name     string `json:"name"`
	Location string `json:"artifact_location"`
	Tags     []pair `json:"tags"`
}

func (s *Server) createExperiment(ctx context.Context, in *createExperiment) (*experimentID, error) {
	if in.Name == "" {
		return nil, missing("name")
	}
	if in.Location != "" {
		return nil, fault.New(fault.Invalid, "artifact_location is %q: artifacts are kept in the cluster's own store, so leave it out", in.Location)
	}
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Clock.Now().UTC()
	x, err := s.cfg.Registry.Runs.Experiments.Create(ctx, runs.Experiment{Name: in.Name, Created: now, Changed: now, Tags: tags})
	return &experimentID{x.ID}, exists(err)
}

type searchExperiments struct {
	Max    integer `json:"max_results"`
	Page   string  `json:"page_token"`
	Filter string  `json:"filter"`
	Order  texts   `json:"order_by"`
	View   string  `json:"view_type"`
}

type foundExperiments struct {
	Experiments []experiment `json:"experiments,omitempty"`
	Next        string       `json:"next_page_token,omitempty"`
}

// viewOf reads which entities are wanted.
func viewOf(word string) (runs.View, error) {
	switch word {
	case "", "ACTIVE_ONLY", "1":
		return runs.Active, nil
	case "DELETED_ONLY", "2":
		return runs.OnlyDeleted, nil
	case "ALL", "3":
		return runs.Everything, nil
	}
	return 0, fault.New(fault.Invalid, "the view type %q is none: it is ACTIVE_ONLY, DELETED_ONLY or ALL", word)
}

func (s *Server) searchExperiments(ctx context.Context, in *searchExperiments) (*foundExperiments, error) {
	most, err := resultsOf(in.Max, 50_000, 1000)
	if err != nil {
		return nil, err
	}
	if len(in.Order) == 0 {
		in.Order = texts{"creation_time DESC"}
	}
	view, err := viewOf(in.View)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Registry.Runs.Experiments.List(ctx)
	if err != nil {
		return nil, err
	}
	slices.Reverse(all) // among those of one instant, the newest first
	chosen := make([]*runs.Experiment, 0, len(all))
	for i := range all {
		if view.Shows(!all[i].Deleted.IsZero()) {
			chosen = append(chosen, &all[i])
		}
	}
	page, next, err := query.Choose(runs.GroupGrammar, chosen, in.Filter, in.Order, in.Page, most)
	if err != nil {
		return nil, err
	}
	out := &foundExperiments{Next: next}
	for _, x := range page {
		out.Experiments = append(out.Experiments, experimentOf(*x))
	}
	return out, nil
}
