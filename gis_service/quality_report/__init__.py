"""The quality report of an edition as JSON (the master), HTML, XLSX and GeoPackage."""
