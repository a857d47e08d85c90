module github.com/idem-go/idem/lab

go 1.26

replace github.com/idem-go/idem => ..

require (
	github.com/mattn/go-sqlite3 v1.14.53
	github.com/stretchr/testify v1.12.1
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect
