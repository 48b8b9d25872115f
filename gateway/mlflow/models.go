package mlflow

import (
	"context"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/models"
	"github.com/troupe-ml/troupe/registry/query"
)

type alias struct {
	Alias   string `json:"alias"`
	Version string `json:"version"`
}

type registeredModel struct {
	Name        string         `json:"name"`
	Created     integer        `json:"creation_timestamp"`
	Changed     integer        `json:"last_updated_timestamp"`
	User        string         `json:"user_id,omitempty"`
	Description string         `json:"description,omitempty"`
	Latest      []modelVersion `json:"latest_versions,omitempty"` // of each stage
	Tags        []pair         `json:"tags,omitempty"`
	Aliases     []alias        `json:"aliases,omitempty"`
}

type modelAnswer struct {
	Model registeredModel `json:"registered_model"`
}

// modelOf is a model as clients see it. One of before there were times is as old
// as its first version.
func modelOf(m *models.Model) registeredModel {
	created, changed := m.Created, m.Changed
	if len(m.Versions) > 0 {
		if created.IsZero() {
			created = m.Versions[0].Created
		}
		if last := m.Versions[len(m.Versions)-1].Created; changed.Before(last) {
			changed = last
		}
	}
	out := registeredModel{
		Name: m.Name, Created: millis(created), Changed: millis(changed), User: m.Owner, Description: m.Description, Tags: pairsOf(m.Tags),
	}
	for _, a := range m.Aliases {
		if a.Version > 0 {
			out.Aliases = append(out.Aliases, alias{a.Name, strconv.Itoa(a.Version)})
		}
	}
	out.Latest = latestOf(m, nil)
	return out
}

// latestOf returns the newest version of every stage, or of those that are named.
func latestOf(m *models.Model, stages []string) []modelVersion {
	newest := map[string]models.Version{}
	live := m.Live()
	for _, v := range live {
		newest[stageOf(&v)] = v
	}
	var list []modelVersion
	for _, v := range live {
		wanted := len(stages) == 0
		for _, s := range stages {
			wanted = wanted || strings.EqualFold(s, stageOf(&v))
		}
		if wanted && newest[stageOf(&v)].Number == v.Number {
			list = append(list, versionOf(m, &v))
		}
	}
	return list
}

type named struct {
	Name string `json:"name"`
}

func (s *Server) modelRoutes() {
	shelf := s.cfg.Registry.Models
	on(s, "POST", "registered-models/create", api.Submit, s.createModel)
	on(s, "GET", "registered-models/get", api.Read, func(ctx context.Context, in *named) (*modelAnswer, error) {
		m, err := shelf.Show(ctx, in.Name)
		return &modelAnswer{modelOf(&m)}, err
	})
	on(s, "GET", "registered-models/search", api.Read, s.searchModels)
	on(s, "GET", "registered-models/list", api.Read, s.searchModels) // of version 1, and Databricks
	on(s, "GET POST", "registered-models/get-latest-versions", api.Read, s.latestVersions)
	on(s, "POST", "registered-models/rename", api.Admin, func(ctx context.Context, in *struct {
		named
		New string `json:"new_name"`
	}) (*modelAnswer, error) {
		m, err := shelf.Rename(ctx, in.Name, in.New, s.cfg.Clock.Now())
		s.refresh()
		return &modelAnswer{modelOf(&m)}, exists(err)
	})
	on(s, "PATCH POST", "registered-models/update", api.Submit, func(ctx context.Context, in *struct {
		named
		Description string `json:"description"`
	}) (*modelAnswer, error) {
		m, err := shelf.Edit(ctx, in.Name, s.cfg.Clock.Now(), func(m *models.Model) error {
			m.Description = in.Description
			return nil
		})
		return &modelAnswer{modelOf(&m)}, err
	})
	on(s, "DELETE", "registered-models/delete", api.Admin, func(ctx context.Context, in *named) (*none, error) {
		err := shelf.Delete(ctx, in.Name, s.cfg.Clock.Now())
		s.refresh()
		return &none{}, err
	})
	on(s, "POST", "registered-models/set-tag", api.Submit, func(ctx context.Context, in *struct {
		named
		pair
	}) (*none, error) {
		return s.tagModel(ctx, in.Name, in.pair, false)
	})
	on(s, "DELETE", "registered-models/delete-tag", api.Submit, func(ctx context.Context, in *struct {
		named
		pair
	}) (*none, error) {
		return s.tagModel(ctx, in.Name, in.pair, true)
	})
	s.aliasRoutes()
	s.versionRoutes()
}

func (s *Server) refresh() {
	if s.cfg.Refresh != nil {
		s.cfg.Refresh()
	}
}

// retag sets or removes a tag.
func retag(tags map[string]string, t pair, remove bool) error {
	if !remove {
		tags[t.Key] = t.Value
		return checkTag(t)
	}
	delete(tags, t.Key)
	return nil
}

func (s *Server) tagModel(ctx context.Context, name string, t pair, remove bool) (*none, error) {
	_, err := s.cfg.Registry.Models.Edit(ctx, name, s.cfg.Clock.Now(), func(m *models.Model) error { return retag(m.Tags, t, remove) })
	return &none{}, err
}

type createModel struct {
	named
	Tags        []pair `json:"tags"`
	Description string `json:"description"`
}

func (s *Server) createModel(ctx context.Context, in *createModel) (*modelAnswer, error) {
	if in.Name == "" {
		return nil, missing("name")
	}
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	m, err := s.cfg.Registry.Models.Create(ctx, models.Model{Name: in.Name, Created: s.cfg.Clock.Now(), Description: in.Description, Tags: tags})
	return &modelAnswer{modelOf(&m)}, exists(err)
}

type searchRequest struct {
	Filter string  `json:"filter"`
	Max    integer `json:"max_results"`
	Order  texts   `json:"order_by"`
	Page   string  `json:"page_token"`
}

type foundModels struct {
	Models []registeredModel `json:"registered_models,omitempty"`
	Next   string            `json:"next_page_token,omitempty"`
}

func (s *Server) searchModels(ctx context.Context, in *searchRequest) (*foundModels, error) {
	most, err := resultsOf(in.Max, 1000, 100)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Registry.Models.List(ctx) // by name
	if err != nil {
		return nil, err
	}
	subjects := make([]*modelSubject, len(all))
	for i := range all {
		subjects[i] = &modelSubject{modelOf(&all[i]), all[i].Tags}
	}
	page, next, err := query.Choose(modelGrammar, subjects, in.Filter, in.Order, in.Page, most)
	if err != nil {
		return nil, err
	}
	out := &foundModels{Next: next}
	for _, m := range page {
		out.Models = append(out.Models, m.registeredModel)
	}
	return out, nil
}

var modelGrammar = query.Grammar{
	Kinds:   []query.Kind{query.Attribute, query.Tag},
	Numbers: []string{"creation_timestamp", "last_updated_timestamp"},
	Texts:   []string{"name"},
	Aliases: map[string]string{"timestamp": "last_updated_timestamp"},
}

type modelSubject struct {
	registeredModel
	tags map[string]string
}

// Number implements query.Subject.
func (m *modelSubject) Number(f query.Field) (float64, bool) {
	if f.Key == "creation_timestamp" {
		return float64(m.Created), true
	}
	return float64(m.Changed), true
}

// Texts implements query.Subject.
func (m *modelSubject) Texts(f query.Field) []string {
	if f.Kind == query.Attribute {
		return []string{m.Name}
	}
	return valueOf(m.tags, f.Key)
}

func valueOf(m map[string]string, key string) []string {
	if v, ok := m[key]; ok {
		return []string{v}
	}
	return nil
}

type versionsAnswer struct {
	Versions []modelVersion `json:"model_versions,omitempty"`
	Next     string         `json:"next_page_token,omitempty"`
}

func (s *Server) latestVersions(ctx context.Context, in *struct {
	named
	Stages texts `json:"stages"`
},
) (*versionsAnswer, error) {
	m, err := s.cfg.Registry.Models.Show(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	for _, stage := range in.Stages {
		if _, err := stageNamed(stage); err != nil {
			return nil, err
		}
	}
	return &versionsAnswer{Versions: latestOf(&m, in.Stages)}, nil
}

type aliasRequest struct {
	named
	Alias   string  `json:"alias"`
	Version integer `json:"version"`
}

// aliasRoutes serves aliases, which are the environments that models are
// deployed to.
func (s *Server) aliasRoutes() {
	shelf := s.cfg.Registry.Models
	on(s, "POST", "registered-models/alias", api.Admin, func(ctx context.Context, in *aliasRequest) (*none, error) {
		if in.Version < 1 {
			return nil, fault.New(fault.Invalid, "the version %d is none: they are counted from 1", in.Version)
		}
		return s.moveAlias(ctx, in)
	})
	on(s, "DELETE", "registered-models/alias", api.Admin, func(ctx context.Context, in *aliasRequest) (*none, error) {
		m, err := shelf.Show(ctx, in.Name)
		if err != nil || m.Alias(in.Alias) == nil { // it is deleted already
			return &none{}, err
		}
		in.Version = 0
		return s.moveAlias(ctx, in)
	})
	on(s, "GET", "registered-models/alias", api.Read, func(ctx context.Context, in *aliasRequest) (*versionAnswer, error) {
		v, err := shelf.Aliased(ctx, in.Name, in.Alias)
		if err != nil {
			return nil, err
		}
		return s.versionAnswer(ctx, in.Name, v.Number)
	})
}

func (s *Server) moveAlias(ctx context.Context, in *aliasRequest) (*none, error) {
	move := models.Move{Version: int(in.Version), Time: s.cfg.Clock.Now(), Reason: "by a client of MLflow"}
	_, err := s.cfg.Registry.Models.MoveAlias(ctx, in.Name, in.Alias, move, models.AnyVersion)
	s.refresh()
	return &none{}, err
}
