package awsconfig

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/store/s3"
)

const configFile = `# what aws configure writes
[default]
region = eu-central-1
[profile lab]
region=eu-west-1
endpoint_url = https://everything.example
services = lab-services
s3 =
  addressing_style = path
[profile sso]
sso_session = corp
[services lab-services]
s3 =
  endpoint_url = https://s3.lab.example:9000
ec2 =
  endpoint_url = https://ec2.lab.example
`

const credentialsFile = `[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key = default/se=cret+
; a comment
[lab]
AWS_ACCESS_KEY_ID=AKLAB
aws_secret_access_key=labsecret
aws_session_token=labtoken
[half]
aws_access_key_id=AKHALF
`

// home is an environment whose home folder has the two files.
func home(t *testing.T, vars map[string]string) Env {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".aws"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".aws", "config"), []byte(configFile), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".aws", "credentials"), []byte(credentialsFile), 0o600))
	return func(name string) (string, bool) {
		if name == "HOME" {
			return dir, true
		}
		v, ok := vars[name]
		return v, ok
	}
}

func TestWhereSettingsComeFrom(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name                     string
		vars                     map[string]string
		region, endpoint, access string
		secret, session          string
	}{
		{"the default profile", nil, "eu-central-1", "", "AKDEFAULT", "default/se=cret+", ""},
		{"a named profile with services", map[string]string{"AWS_PROFILE": "lab"}, "eu-west-1", "https://s3.lab.example:9000", "AKLAB", "labsecret", "labtoken"},
		{"the environment goes before the profile", map[string]string{
			"AWS_PROFILE": "lab", "AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "envsecret", "AWS_SESSION_TOKEN": "envtoken",
			"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-east-2", "AWS_ENDPOINT_URL": "http://any.example", "AWS_ENDPOINT_URL_S3": "http://s3.example",
		}, "us-west-2", "http://s3.example", "AKENV", "envsecret", "envtoken"},
		{"endpoints may be ignored", map[string]string{"AWS_PROFILE": "lab", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "eu-west-1", "", "AKLAB", "labsecret", "labtoken"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := Load(home(t, c.vars))
			require.NoError(t, err)
			require.NoError(t, cfg.Validate())
			require.Equal(t, c.region, cfg.Region)
			require.Equal(t, c.endpoint, cfg.Endpoint)
			k, err := cfg.Keys()
			require.NoError(t, err)
			require.Equal(t, s3.Keys{Access: c.access, Secret: s3.Secret(c.secret), Session: s3.Secret(c.session)}, k)
			require.NotContains(t, fmt.Sprintf("%v %+v", k, cfg.Endpoint), c.secret)
		})
	}
}

func TestWhatCannotBeUsedIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ vars, says string }{
		{"AWS_PROFILE=sso", "sso_session"},
		{"AWS_PROFILE=half", "aws_secret_access_key"},
		{"AWS_PROFILE=nobody", "nobody"},
		{"AWS_ACCESS_KEY_ID=AK", "AWS_SECRET_ACCESS_KEY"},
	} {
		name, value, _ := strings.Cut(c.vars, "=")
		_, err := Load(home(t, map[string]string{name: value}))
		require.Equal(t, fault.Invalid, fault.Of(err), c.vars)
		require.ErrorContains(t, err, c.says)
	}
}

func TestWithoutKeysARoleIsAskedFor(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	env := func(vars map[string]string) Env {
		return func(name string) (string, bool) {
			if name == "HOME" {
				return empty, true
			}
			v, ok := vars[name]
			return v, ok
		}
	}
	cfg, err := Load(env(nil))
	require.NoError(t, err)
	require.Nil(t, cfg.Keys)
	_, err = Load(env(map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}))
	require.Equal(t, fault.Invalid, fault.Of(err))
	require.ErrorContains(t, err, "no credentials")
}

// Keys that a program renews in the file are found when the old ones expire.
func TestKeysAreReadAgain(t *testing.T) {
	t.Parallel()
	env := home(t, nil)
	cfg, err := Load(env)
	require.NoError(t, err)
	dir, _ := env("HOME")
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".aws", "credentials"), []byte("[default]\naws_access_key_id=NEW\naws_secret_access_key=s\n"), 0o600))
	k, err := cfg.Keys()
	require.NoError(t, err)
	require.Equal(t, "NEW", k.Access)
}
