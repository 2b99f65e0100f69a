// Command azure-witness does with Azure's own Go client what an operator does with role assignments, and prints
// what it saw as one JSON object. The contract tests of the stand-in for Azure run it: a client that we did not
// write, in another language than theirs. It is told of no address but Azure's own; HTTPS_PROXY leads it.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
)

type task struct {
	CA           string   `json:"ca"`
	Subscription string   `json:"subscription"`
	Scope        string   `json:"scope"`
	Role         string   `json:"role"`
	Principals   []string `json:"principals"`
	Names        []string `json:"names"`
}

type outcome struct {
	Created     []string `json:"created"`
	Description string   `json:"description"`
	Pages       int      `json:"pages"`
	Listed      []string `json:"listed"`
	Conflict    string   `json:"conflict"`
	Removed     string   `json:"removed"`
	Again       bool     `json:"again"`
	Gone        string   `json:"gone"`
}

func main() {
	var work task
	if err := json.NewDecoder(os.Stdin).Decode(&work); err != nil {
		fail(err)
	}
	client, err := connect(work)
	if err != nil {
		fail(err)
	}
	seen, err := witness(context.Background(), client, work)
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func connect(work task) (*armauthorization.RoleAssignmentsClient, error) {
	pem, err := os.ReadFile(work.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	options := policy.ClientOptions{
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Transport: &http.Client{Transport: transport},
	}
	login, err := azidentity.NewWorkloadIdentityCredential(
		&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: options})
	if err != nil {
		return nil, err
	}
	return armauthorization.NewRoleAssignmentsClient(work.Subscription, login, &arm.ClientOptions{ClientOptions: options})
}

func witness(ctx context.Context, client *armauthorization.RoleAssignmentsClient, work task) (*outcome, error) {
	seen := &outcome{}
	for number, principal := range work.Principals {
		made, err := client.Create(ctx, work.Scope, work.Names[number], parameters(work.Role, principal), nil)
		if err != nil {
			return nil, err
		}
		seen.Created = append(seen.Created, *made.Name)
	}
	got, err := client.Get(ctx, work.Scope, work.Names[0], nil)
	if err != nil {
		return nil, err
	}
	seen.Description = *got.Properties.Description
	pager := client.NewListForScopePager(work.Scope,
		&armauthorization.RoleAssignmentsClientListForScopeOptions{Filter: to.Ptr("atScope()")})
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		seen.Pages++
		for _, each := range page.Value {
			seen.Listed = append(seen.Listed, *each.Name)
		}
	}
	other := work.Names[len(work.Principals)]
	_, err = client.Create(ctx, work.Scope, other, parameters(work.Role, work.Principals[0]), nil)
	seen.Conflict = code(err)
	return seen, remove(ctx, client, work, seen)
}

func remove(ctx context.Context, client *armauthorization.RoleAssignmentsClient, work task, seen *outcome) error {
	first, err := client.Delete(ctx, work.Scope, work.Names[0], nil)
	if err != nil {
		return err
	}
	seen.Removed = *first.Name
	second, err := client.Delete(ctx, work.Scope, work.Names[0], nil)
	if err != nil {
		return err
	}
	seen.Again = second.Name != nil
	_, err = client.Get(ctx, work.Scope, work.Names[0], nil)
	seen.Gone = code(err)
	return nil
}

func parameters(role, principal string) armauthorization.RoleAssignmentCreateParameters {
	return armauthorization.RoleAssignmentCreateParameters{Properties: &armauthorization.RoleAssignmentProperties{
		RoleDefinitionID: to.Ptr(role),
		PrincipalID:      to.Ptr(principal),
		PrincipalType:    to.Ptr(armauthorization.PrincipalTypeServicePrincipal),
		Description:      to.Ptr("by the witness"),
	}}
}

func code(err error) string {
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		return answer.ErrorCode
	}
	return ""
}
