package mlflow

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry"
	"github.com/troupe-ml/troupe/registry/models"
	"github.com/troupe-ml/troupe/registry/query"
	"github.com/troupe-ml/troupe/registry/runs"
)

type modelVersion struct {
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	Created     integer  `json:"creation_timestamp"`
	Changed     integer  `json:"last_updated_timestamp"`
	User        string   `json:"user_id,omitempty"`
	Stage       string   `json:"current_stage"`
	Description string   `json:"description,omitempty"`
	Source      string   `json:"source"`
	Run         runs.ID  `json:"run_id,omitempty"`
	Logged      runs.ID  `json:"model_id,omitempty"`
	Status      string   `json:"status"`
	Tags        []pair   `json:"tags,omitempty"`
	RunLink     string   `json:"run_link,omitempty"`
	Aliases     []string `json:"aliases,omitempty"`
}

type versionAnswer struct {
	Version modelVersion `json:"model_version"`
}

// stages are MLflow's, which it has deprecated for aliases.
var stages = []string{"None", "Staging", "Production", "Archived"}

func stageNamed(word string) (string, error) {
	for _, s := range stages {
		if strings.EqualFold(s, word) {
			return s, nil
		}
	}
	return "", fault.New(fault.Invalid, "the stage %q is none: it is %s", word, strings.Join(stages, ", "))
}

func stageOf(v *models.Version) string {
	if v.Stage == "" {
		return stages[0]
	}
	return v.Stage
}

func versionOf(m *models.Model, v *models.Version) modelVersion {
	out := modelVersion{
		Name: m.Name, Version: strconv.Itoa(v.Number), Created: millis(v.Created), Changed: max(millis(v.Created), millis(v.Changed)), User: v.Owner,
		Stage: stageOf(v), Description: v.Description, Source: sourceOf(v), Run: v.Run, Logged: v.Logged, Status: "READY", Tags: pairsOf(v.Tags), RunLink: v.RunLink,
	}
	for _, a := range m.Aliases {
		if a.Version == v.Number {
			out.Aliases = append(out.Aliases, a.Name)
		}
	}
	return out
}

// sourceOf says where a version is: where its client has said, or among the
// artifacts of its run.
func sourceOf(v *models.Version) string {
	if v.Source == "" && v.Run != "" {
		return registry.URI{Run: v.Run, Path: v.Path}.String()
	}
	return v.Source
}

// versionName names a version. Clients write its number as text.
type versionName struct {
	Name    string  `json:"name"`
	Version integer `json:"version"`
}

func (s *Server) versionRoutes() {
	shelf := s.cfg.Registry.Models
	on(s, "POST", "model-versions/create", api.Submit, s.createVersion)
	on(s, "GET", "model-versions/get", api.Read, func(ctx context.Context, in *versionName) (*versionAnswer, error) {
		return s.versionAnswer(ctx, in.Name, int(in.Version))
	})
	on(s, "GET", "model-versions/search", api.Read, s.searchVersions)
	on(s, "GET", "model-versions/get-download-uri", api.Read, s.downloadURI)
	on(s, "PATCH POST", "model-versions/update", api.Submit, func(ctx context.Context, in *struct {
		versionName
		Description string `json:"description"`
	}) (*versionAnswer, error) {
		_, err := shelf.EditVersion(ctx, in.Name, int(in.Version), s.cfg.Clock.Now(), func(v *models.Version) error {
			v.Description = in.Description
			return nil
		})
		if err != nil {
			return nil, err
		}
		return s.versionAnswer(ctx, in.Name, int(in.Version))
	})
	on(s, "POST", "model-versions/transition-stage", api.Admin, func(ctx context.Context, in *struct {
		versionName
		Stage   string `json:"stage"`
		Archive flag   `json:"archive_existing_versions"`
	}) (*versionAnswer, error) {
		stage, err := stageNamed(in.Stage)
		if err != nil {
			return nil, err
		}
		if _, err := shelf.Stage(ctx, in.Name, int(in.Version), stage, bool(in.Archive), s.cfg.Clock.Now()); err != nil {
			return nil, err
		}
		return s.versionAnswer(ctx, in.Name, int(in.Version))
	})
	on(s, "DELETE", "model-versions/delete", api.Admin, func(ctx context.Context, in *versionName) (*none, error) {
		return &none{}, shelf.DeleteVersion(ctx, in.Name, int(in.Version), s.cfg.Clock.Now())
	})
	on(s, "POST", "model-versions/set-tag", api.Submit, func(ctx context.Context, in *struct {
		versionName
		pair
	}) (*none, error) {
		return s.tagVersion(ctx, in.versionName, in.pair, false)
	})
	on(s, "DELETE", "model-versions/delete-tag", api.Submit, func(ctx context.Context, in *struct {
		versionName
		pair
	}) (*none, error) {
		return s.tagVersion(ctx, in.versionName, in.pair, true)
	})
}

func (s *Server) tagVersion(ctx context.Context, of versionName, t pair, remove bool) (*none, error) {
	_, err := s.cfg.Registry.Models.EditVersion(ctx, of.Name, int(of.Version), s.cfg.Clock.Now(), func(v *models.Version) error { return retag(v.Tags, t, remove) })
	return &none{}, err
}

func (s *Server) versionAnswer(ctx context.Context, name string, number int) (*versionAnswer, error) {
	m, err := s.cfg.Registry.Models.Show(ctx, name)
	if err != nil {
		return nil, err
	}
	v, err := m.Version(number)
	if err != nil {
		return nil, err
	}
	return &versionAnswer{versionOf(&m, &v)}, nil
}

type createVersion struct {
	named
	Source      string  `json:"source"`
	Run         runs.ID `json:"run_id"`
	Logged      runs.ID `json:"model_id"`
	Tags        []pair  `json:"tags"`
	RunLink     string  `json:"run_link"`
	Description string  `json:"description"`
}

// createVersion adds a version. When its source is one file of a run here, such
// as the model of a train job, it can be deployed; of anything else only the
// address is kept, which nobody here ever reads.
func (s *Server) createVersion(ctx context.Context, in *createVersion) (*versionAnswer, error) {
	switch {
	case in.Name == "":
		return nil, missing("name")
	case in.Source == "":
		return nil, missing("source")
	}
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	v := models.Version{Run: in.Run, Logged: in.Logged, Source: in.Source, RunLink: in.RunLink, Description: in.Description, Created: s.cfg.Clock.Now(), Tags: tags}
	if err := s.resolve(ctx, &v); err != nil {
		return nil, err
	}
	v, err = s.cfg.Registry.Models.AddVersion(ctx, in.Name, v)
	if err == nil && v.Logged != "" {
		err = s.cfg.Registry.Logged.Registered(ctx, v.Logged, in.Name, strconv.Itoa(v.Number))
	}
	if err != nil {
		return nil, err
	}
	return s.versionAnswer(ctx, in.Name, v.Number)
}

// loggedSource is how clients write the address of a logged model.
const loggedSource = "models:/m-"

// resolve finds the bytes of a version whose source is a file of a run, and the
// logged model that it is, whose run is the version's.
func (s *Server) resolve(ctx context.Context, v *models.Version) error {
	var id runs.ID
	var at string
	if rest, ok := strings.CutPrefix(v.Source, "mlflow-artifacts:/"); ok {
		of, path, err := place(rest)
		switch {
		case err != nil: // it is somewhere else
		case of.logged:
			v.Logged = cmp.Or(v.Logged, of.id)
		default:
			id, at = of.id, path
		}
	} else if rest, ok := strings.CutPrefix(v.Source, loggedSource); ok && !strings.ContainsAny(rest, "/@") {
		v.Logged = cmp.Or(v.Logged, runs.ID("m-"+rest))
	} else if u, err := registry.ParseURI(v.Source); err == nil && u.Run != "" {
		id, at = u.Run, u.Path
	}
	if v.Logged != "" {
		m, err := s.cfg.Registry.Logged.Show(ctx, v.Logged)
		if err != nil {
			return err
		}
		v.Run = cmp.Or(v.Run, m.Source)
	}
	if id == "" {
		return nil
	}
	r, err := s.run(ctx, id)
	if err != nil {
		return err
	}
	if a, ok := r.Artifacts[at]; ok {
		v.Run, v.Path, v.Digest = id, at, a.Digest
	}
	return nil
}

func (s *Server) downloadURI(ctx context.Context, in *versionName) (*struct {
	URI string `json:"artifact_uri"`
}, error,
) {
	v, err := s.cfg.Registry.Models.Version(ctx, in.Name, int(in.Version))
	if err != nil {
		return nil, err
	}
	out := &struct {
		URI string `json:"artifact_uri"`
	}{sourceOf(&v)}
	if v.Logged != "" && strings.HasPrefix(out.URI, loggedSource) {
		m, err := s.cfg.Registry.Logged.Show(ctx, v.Logged)
		if err != nil {
			return nil, err
		}
		out.URI = m.ArtifactURI()
	}
	if u, err := registry.ParseURI(out.URI); err == nil && u.Run != "" {
		r, err := s.grouped(ctx, u.Run)
		if err != nil {
			return nil, err
		}
		out.URI = r.ArtifactURI() + "/" + u.Path
	}
	return out, nil
}

func (s *Server) searchVersions(ctx context.Context, in *searchRequest) (*versionsAnswer, error) {
	most, err := resultsOf(in.Max, 200_000, 10_000)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Registry.Models.List(ctx)
	if err != nil {
		return nil, err
	}
	var subjects []*versionSubject
	for i := range all {
		for _, v := range all[i].Live() {
			subjects = append(subjects, &versionSubject{versionOf(&all[i], &v), v})
		}
	}
	order := append(in.Order, "last_updated_timestamp DESC", "name", "version_number DESC")
	page, next, err := query.Choose(versionGrammar, subjects, in.Filter, order, in.Page, most)
	if err != nil {
		return nil, err
	}
	out := &versionsAnswer{Next: next}
	for _, v := range page {
		out.Versions = append(out.Versions, v.modelVersion)
	}
	return out, nil
}

var versionGrammar = query.Grammar{
	Kinds:   []query.Kind{query.Attribute, query.Tag},
	Numbers: []string{"version_number", "creation_timestamp", "last_updated_timestamp"},
	Texts:   []string{"name", "run_id", "source_path", "stage"},
	Aliases: map[string]string{"timestamp": "last_updated_timestamp", "version": "version_number"},
}

type versionSubject struct {
	modelVersion
	of models.Version
}

// Number implements query.Subject.
func (v *versionSubject) Number(f query.Field) (float64, bool) {
	switch f.Key {
	case "version_number":
		return float64(v.of.Number), true
	case "creation_timestamp":
		return float64(v.Created), true
	default:
		return float64(v.Changed), true
	}
}

// Texts implements query.Subject.
func (v *versionSubject) Texts(f query.Field) []string {
	switch {
	case f.Kind == query.Tag:
		return valueOf(v.of.Tags, f.Key)
	case f.Key == "name":
		return []string{v.Name}
	case f.Key == "run_id":
		return []string{string(v.Run)}
	case f.Key == "stage":
		return []string{v.Stage}
	default:
		return []string{v.Source}
	}
}
