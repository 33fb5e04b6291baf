"""imeiflow."""
