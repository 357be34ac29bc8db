"""The comparison kit: Rusteze beside what one would use instead, on the same wires. Start it with `benches/compare/run`."""
