"""Looking at single pings: what refused them (`failures`), where they are (`receipts`), and as they come (`following`).

Reads topics, tables and the window of document ids; writes nothing. The command line and the console show the same.
"""
