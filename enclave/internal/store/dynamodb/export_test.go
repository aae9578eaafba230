package dynamodb

// ShrinkLog has the log hold so many changes, and Changes tell so many at once.
func (k *Keys) ShrinkLog(changes, page uint64) { k.logSize, k.pageSize = changes, page }
