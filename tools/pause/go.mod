module talisman.local/tools/pause

go 1.26.5
