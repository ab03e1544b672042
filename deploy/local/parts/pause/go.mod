module towpath.dev/local/pause

go 1.24.0
