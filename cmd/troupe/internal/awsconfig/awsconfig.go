// Package awsconfig finds out which object store is meant, and who asks, where
// Amazon's tools find it: in the environment, ~/.aws/credentials and
// ~/.aws/config.
//
//	AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
//	AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE
//	AWS_REGION, AWS_DEFAULT_REGION
//	AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS
//	AWS_EC2_METADATA_DISABLED
//
// Keys come from the environment, else from the profile, else from the role of
// the machine, container or service account. Profiles that need another program
// or a login (credential_process, sso_session, role_arn) are refused by name.
package awsconfig

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store/s3"
)

// Env looks an environment variable up.
type Env func(name string) (string, bool)

func (e Env) first(names ...string) string {
	for _, n := range names {
		if v, ok := e(n); ok && v != "" {
			return v
		}
	}
	return ""
}

// Load returns the configuration of a client.
func Load(env Env) (s3.Config, error) {
	c := s3.DefaultConfig()
	p, err := profile(env)
	if err != nil {
		return c, err
	}
	c.Region = orElse(env.first("AWS_REGION", "AWS_DEFAULT_REGION"), p["region"])
	if !strings.EqualFold(env.first("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		c.Endpoint = orElse(env.first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), orElse(p["s3.endpoint_url"], p["endpoint_url"]))
	}
	found, err := keys(env)
	switch {
	case err != nil:
		return c, err
	case found.Access != "":
		c.Keys = func() (s3.Keys, error) { return again(env) }
	case strings.EqualFold(env.first("AWS_EC2_METADATA_DISABLED"), "true"):
		return c, fault.New(fault.Invalid, "there are no credentials: neither AWS_ACCESS_KEY_ID nor the profile %q has any, and AWS_EC2_METADATA_DISABLED forbids to ask for a role", profileName(env))
	}
	return c, nil
}

// again reads the keys anew, because they have expired or are asked for first.
func again(env Env) (s3.Keys, error) {
	k, err := keys(env)
	if err == nil && k.Access == "" {
		err = fault.New(fault.Invalid, "the profile %q has no keys any more", profileName(env))
	}
	return k, err
}

func keys(env Env) (s3.Keys, error) {
	access, secret := env.first("AWS_ACCESS_KEY_ID"), env.first("AWS_SECRET_ACCESS_KEY")
	if (access == "") != (secret == "") {
		return s3.Keys{}, fault.New(fault.Invalid, "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY one is set and the other is not")
	}
	if access != "" {
		return s3.Keys{Access: access, Secret: s3.Secret(secret), Session: s3.Secret(env.first("AWS_SESSION_TOKEN"))}, nil
	}
	p, err := profile(env)
	if err != nil {
		return s3.Keys{}, err
	}
	access, secret = p["aws_access_key_id"], p["aws_secret_access_key"]
	if (access == "") != (secret == "") {
		return s3.Keys{}, fault.New(fault.Invalid, "profile %q: of aws_access_key_id and aws_secret_access_key one is set and the other is not", profileName(env))
	}
	if access != "" {
		return s3.Keys{Access: access, Secret: s3.Secret(secret), Session: s3.Secret(p["aws_session_token"])}, nil
	}
	for _, cannot := range []string{"credential_process", "sso_session", "sso_start_url", "role_arn", "web_identity_token_file"} {
		if p[cannot] != "" {
			return s3.Keys{}, fault.New(fault.Invalid, "profile %q: %s is not supported: put keys into the environment, as `aws configure export-credentials --format env` prints them", profileName(env), cannot)
		}
	}
	return s3.Keys{}, nil
}

func profileName(env Env) string { return orElse(env.first("AWS_PROFILE"), "default") }

// profile returns what the two files say of the profile. One that was named and
// is in neither is an error; without a name, no file need be there.
func profile(env Env) (map[string]string, error) {
	home := env.first("HOME", "USERPROFILE")
	name := profileName(env)
	out := map[string]string{}
	known := false
	for _, f := range []struct{ path, section string }{
		{orElse(env.first("AWS_CONFIG_FILE"), filepath.Join(home, ".aws", "config")), "profile " + name},
		{orElse(env.first("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(home, ".aws", "credentials")), name},
	} {
		text, err := os.ReadFile(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "%w", err)
		}
		sections := parse(string(text))
		section, ok := sections[f.section]
		if !ok && name == "default" {
			section, ok = sections[name]
		}
		known = known || ok
		for k, v := range section {
			out[k] = v
		}
		if services := section["services"]; services != "" {
			for k, v := range sections["services "+services] {
				if strings.HasPrefix(k, "s3.") {
					out[k] = v
				}
			}
		}
	}
	if env.first("AWS_PROFILE") != "" && !known {
		return nil, fault.New(fault.Invalid, "AWS_PROFILE names %q, which neither ~/.aws/config nor ~/.aws/credentials has", name)
	}
	return out, nil
}

// parse reads the files' form of INI: sections, "key = value", comments on lines
// of their own, and below a key without a value indented ones, whose names then
// begin with that key and a dot.
func parse(text string) map[string]map[string]string {
	out := map[string]map[string]string{}
	var section map[string]string
	outer := ""
	for line := range strings.Lines(text) {
		bare := strings.TrimSpace(line)
		indented := line[0] == ' ' || line[0] == '\t'
		switch {
		case bare == "" || bare[0] == '#' || bare[0] == ';':
		case bare[0] == '[' && !indented:
			name, _, _ := strings.Cut(bare[1:], "]")
			name = strings.Join(strings.Fields(name), " ")
			if out[name] == nil {
				out[name] = map[string]string{}
			}
			section, outer = out[name], ""
		default:
			key, value, ok := strings.Cut(bare, "=")
			if !ok || section == nil {
				continue
			}
			key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
			if indented && outer != "" {
				section[outer+"."+key] = value
				continue
			}
			outer = ""
			if value == "" {
				outer = key
			}
			section[key] = value
		}
	}
	return out
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
