// Package troupev1 is the generated code of the words that members of a cluster
// say to each other. Only actors/wire uses it; all others use the words of
// jobs. After a change of troupe.proto:
//
//	protoc --go_out=. --go_opt=paths=source_relative proto/troupe/v1/troupe.proto
package troupev1
