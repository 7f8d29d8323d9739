"""Pure mathematics: functions of arrays, one subject per module, importing no other part."""
