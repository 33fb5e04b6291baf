"""What imeiflow knows of IMEIs, orders, replies and money. Pure: no clock, no SQL, no network, no files."""
