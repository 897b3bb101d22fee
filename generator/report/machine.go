// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
)

type jsonDiagnostic struct {
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Width    int    `json:"width,omitempty"`
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Unit     string `json:"unit,omitempty"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

// JSON writes the list as an indented array, one object a diagnostic; an empty list is [].
func (l List) JSON(w io.Writer) error {
	out := make([]jsonDiagnostic, 0, len(l))
	for _, d := range l {
		out = append(out, jsonDiagnostic{
			d.Pos.File, d.Pos.Line, d.Pos.Col, d.Width, d.Severity.String(), d.Code, d.Unit, d.Message, d.Hint,
		})
	}
	return encode(w, out)
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID string `json:"id"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int        `json:"startLine"`
		StartColumn int        `json:"startColumn,omitempty"`
		EndColumn   int        `json:"endColumn,omitempty"`
		Snippet     *sarifText `json:"snippet,omitempty"`
	}
)

// SARIF writes the list as a SARIF 2.1.0 log, the format that code-scanning services read.
func (l List) SARIF(w io.Writer, version string) error {
	index := map[string]int{}
	driver := sarifDriver{
		Name: "podunit check", Version: version, InformationURI: "https://github.com/podunit/podunit", Rules: []sarifRule{},
	}
	results := []sarifResult{}
	for _, d := range l {
		n, ok := index[d.Code]
		if !ok {
			n = len(driver.Rules)
			index[d.Code] = n
			driver.Rules = append(driver.Rules, sarifRule{d.Code})
		}
		text := d.Message
		if d.Hint != "" {
			text += ". Hint: " + d.Hint
		}
		r := sarifResult{RuleID: d.Code, RuleIndex: n, Level: d.Severity.String(), Message: sarifText{text}}
		if d.Pos.File != "" {
			loc := sarifPhysical{Artifact: sarifArtifact{fileURI(d.Pos.File)}}
			if d.Pos.Line > 0 {
				loc.Region = &sarifRegion{StartLine: d.Pos.Line, StartColumn: d.Pos.Col}
				if d.Pos.Col > 0 {
					loc.Region.EndColumn = d.Pos.Col + max(d.Width, 1)
				}
				if d.Excerpt != "" {
					loc.Region.Snippet = &sarifText{d.Excerpt}
				}
			}
			r.Locations = []sarifLocation{{loc}}
		}
		results = append(results, r)
	}
	return encode(w, sarifLog{
		Schema:  "https://json.schemastore.org/sarif-2.1.0.json",
		Version: "2.1.0",
		Runs:    []sarifRun{{Tool: sarifTool{driver}, Results: results}},
	})
}

// fileURI keeps a relative path relative, as code-scanning services resolve it against the checkout.
func fileURI(path string) string {
	u := url.URL{Path: filepath.ToSlash(path)}
	if filepath.IsAbs(path) {
		u.Scheme = "file"
	}
	return u.String()
}
