package realtime_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/orbit/realtime/config"
)

// composeFile is what we use of the Compose Specification
// (https://github.com/compose-spec/compose-spec); reading it refuses all else,
// so that a misspelled key doesn't pass.
type composeFile struct {
	Services map[string]*composeService `yaml:"services"`
	Volumes  map[string]struct{}        `yaml:"volumes"`
	Other    map[string]yaml.Node       `yaml:",inline"` // extensions, x-…
}

type composeService struct {
	Image       string               `yaml:"image"`
	Build       string               `yaml:"build"`
	Command     []string             `yaml:"command"`
	Environment map[string]string    `yaml:"environment"`
	Volumes     []string             `yaml:"volumes"`
	Ports       []string             `yaml:"ports"`
	DependsOn   composeDependencies  `yaml:"depends_on"`
	Healthcheck *composeHealth       `yaml:"healthcheck"`
	Restart     string               `yaml:"restart"`
	StopGrace   string               `yaml:"stop_grace_period"`
	Other       map[string]yaml.Node `yaml:",inline"`
}

type composeHealth struct {
	Test     []string             `yaml:"test"`
	Interval time.Duration        `yaml:"interval"`
	Timeout  time.Duration        `yaml:"timeout"`
	Retries  int                  `yaml:"retries"`
	Other    map[string]yaml.Node `yaml:",inline"`
}

// composeDependencies are services, and the condition each is waited for.
type composeDependencies map[string]string

func (d *composeDependencies) UnmarshalYAML(n *yaml.Node) error {
	*d = composeDependencies{}
	if n.Kind == yaml.SequenceNode {
		var names []string
		err := n.Decode(&names)
		for _, name := range names {
			(*d)[name] = "service_started"
		}
		return err
	}
	var long map[string]struct {
		Condition string `yaml:"condition"`
	}
	err := n.Decode(&long)
	for name, how := range long {
		(*d)[name] = how.Condition
	}
	return err
}

func readCompose(t *testing.T) composeFile {
	raw, err := os.ReadFile("docker-compose.yml")
	require.NoError(t, err)
	c, err := parseCompose(raw)
	require.NoError(t, err)
	for name := range c.Other {
		require.True(t, strings.HasPrefix(name, "x-"), "%s is no key of a compose file", name)
	}
	return c
}

func parseCompose(raw []byte) (c composeFile, err error) {
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, err
	}
	return c, nil
}

// There is no container engine where this runs: what can be said without one is
// that every key is one, every file that is mounted is there, and that the names
// and ports fit together.
func TestComposeFitsTogether(t *testing.T) {
	compose := readCompose(t)
	dockerfile, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	published := map[string]string{}
	for name, s := range compose.Services {
		require.Empty(t, s.Other, "%s: no such key", name)
		require.True(t, s.Image != "", name)
		if s.Build == "" {
			require.Regexp(t, `^[a-z0-9./-]+:v?[0-9][0-9a-z.-]*$`, s.Image, "%s: an image has a version", name)
		}
		require.Contains(t, []string{"", "unless-stopped", "always", "on-failure", "no"}, s.Restart, name)
		for _, port := range s.Ports {
			here, ok := strings.CutPrefix(port, "127.0.0.1:")
			require.True(t, ok, "%s: %s is published beyond this machine", name, port)
			here, _, ok = strings.Cut(here, ":")
			require.True(t, ok, port)
			require.Empty(t, published[here], "%s and %s want port %s", name, published[here], here)
			published[here] = name
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if strings.HasPrefix(source, ".") {
				_, err := os.Stat(filepath.FromSlash(source))
				require.NoError(t, err, name)
			} else {
				require.Contains(t, compose.Volumes, source, name)
			}
		}
		for other, condition := range s.DependsOn {
			require.Contains(t, compose.Services, other, name)
			switch condition {
			case "service_started":
			case "service_healthy":
				healthy := compose.Services[other].Healthcheck != nil || compose.Services[other].Build != "" && bytes.Contains(dockerfile, []byte("HEALTHCHECK"))
				require.True(t, healthy, "%s waits for %s, which has no health check", name, other)
			default:
				t.Errorf("%s: no condition %q", name, condition)
			}
		}
	}
}

// TestComposeNodes: the nodes differ in name alone, every setting is one that
// the server knows, and addresses are those of services.
func TestComposeNodes(t *testing.T) {
	compose := readCompose(t)
	settings := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		settings[f.Tag.Get("env")] = true
	}
	var nodes []string
	for name, s := range compose.Services {
		if s.Build == "" {
			continue
		}
		nodes = append(nodes, name)
		for setting := range s.Environment {
			require.True(t, settings[setting], "%s: the server has no setting %s", name, setting)
		}
		require.Equal(t, name, s.Environment["ORBIT_NODE"])
		grace, err := time.ParseDuration(s.StopGrace)
		require.NoError(t, err)
		require.Greater(t, grace, config.Default().ShutdownTimeout, "%s is killed before it has ended by itself", name)
		for _, url := range []string{s.Environment["DATABASE_URL"], s.Environment["NATS_URL"]} {
			host := regexp.MustCompile(`@([a-z0-9-]+):`).FindStringSubmatch(url)
			require.Len(t, host, 2, url)
			require.Equal(t, "service_healthy", s.DependsOn[host[1]], "%s needs %s", name, host[1])
		}
	}
	require.GreaterOrEqual(t, len(nodes), 2)
	nats := compose.Services["nats"].Command
	value := func(flag string) string { return nats[slices.Index(nats, flag)+1] }
	for _, name := range nodes {
		s := compose.Services[name]
		require.Equal(t, "nats://"+value("--user")+":"+value("--pass")+"@nats:4222", s.Environment["NATS_URL"])
		first := compose.Services[nodes[0]].Environment
		for setting, v := range s.Environment {
			if setting != "ORBIT_NODE" {
				require.Equal(t, first[setting], v, "%s of %s", setting, name)
			}
		}
	}

	// Both lists name every node, and no other.
	slices.Sort(nodes)
	settingsOf, err := os.ReadFile("deploy/nginx/nginx.conf")
	require.NoError(t, err)
	var upstream []string
	for _, m := range regexp.MustCompile(`(?m)^ *server ([a-z0-9-]+):8080`).FindAllSubmatch(settingsOf, -1) {
		upstream = append(upstream, string(m[1]))
		require.Contains(t, compose.Services["nginx"].DependsOn, string(m[1]))
	}
	slices.Sort(upstream)
	require.Equal(t, nodes, upstream)
	require.Contains(t, compose.Services["nginx"].Volumes, "./deploy/nginx/nginx.conf:/etc/nginx/nginx.conf:ro")

	var prometheus struct {
		ScrapeConfigs []struct {
			JobName       string                       `yaml:"job_name"`
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, "deploy/prometheus/prometheus.yml", &prometheus)
	require.Equal(t, "orbit", prometheus.ScrapeConfigs[0].JobName, "dashboard and rules name the job")
	var scraped []string
	for _, target := range prometheus.ScrapeConfigs[0].StaticConfigs[0].Targets {
		name, port, _ := strings.Cut(target, ":")
		scraped = append(scraped, name)
		require.Equal(t, ":"+port, compose.Services[name].Environment["ORBIT_ADMIN_ADDR"])
	}
	slices.Sort(scraped)
	require.Equal(t, nodes, scraped)

	var sources struct{ Datasources []struct{ UID, URL string } }
	readYAML(t, "deploy/grafana/provisioning/datasources/prometheus.yml", &sources)
	require.Equal(t, "prometheus", sources.Datasources[0].UID)
	require.Contains(t, sources.Datasources[0].URL, "://prometheus:")
	require.Contains(t, compose.Services["grafana"].Volumes, "./deploy/grafana/dashboards:/var/lib/grafana/dashboards:ro")
}

// The reading bites: a key that is none, a misspelled one, a wrong type.
func TestComposeReadingBites(t *testing.T) {
	for _, text := range []string{
		"services: {a: {image: x, ports: 80}}",
		"services: [a]",
		"services: {a: {image: x, healthcheck: {interval: often}}}",
	} {
		_, err := parseCompose([]byte(text))
		require.Error(t, err, text)
	}
	c, err := parseCompose([]byte("services: {a: {imagine: x}}"))
	require.NoError(t, err)
	require.NotEmpty(t, c.Services["a"].Other)
}

// The proxy's settings that operations.md shows are those that are deployed.
func TestDocumentedProxySettings(t *testing.T) {
	doc, err := os.ReadFile("docs/operations.md")
	require.NoError(t, err)
	deployed, err := os.ReadFile("deploy/nginx/nginx.conf")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindSubmatch(doc)
	require.NotNil(t, block)
	for line := range strings.Lines(string(block[1])) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "proxy_pass") {
			require.Contains(t, string(deployed), line)
		}
	}
}

// nginx reads the file itself, with addresses that can be looked up here.
func TestNginxReadsItsSettings(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed")
	}
	raw, err := os.ReadFile("deploy/nginx/nginx.conf")
	require.NoError(t, err)
	dir := t.TempDir()
	text := regexp.MustCompile(`orbit-(\d):8080`).ReplaceAllStringFunc(string(raw), func(s string) string {
		n, _ := strconv.Atoi(s[len("orbit-") : len("orbit-")+1])
		return "127.0.0.1:" + strconv.Itoa(9000+n)
	})
	text = strings.Replace(text, "http {", "http {\nclient_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;", 1)
	conf := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(conf, []byte("pid "+dir+"/pid;\n"+text), 0o600))
	out, err := exec.Command(nginx, "-t", "-p", dir, "-c", conf).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(raw, into), path)
}
