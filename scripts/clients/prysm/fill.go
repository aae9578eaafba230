package main

import (
	"bytes"
	"reflect"
	"strconv"
)

func repeat(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

// fill gives every byte vector in a message its length, from the tag ssz-size, and every message in it a value, so that
// it can be hashed. Lists stay empty. It returns the message.
func fill[T any](message *T) *T {
	fillStruct(reflect.ValueOf(message).Elem())
	return message
}

func fillStruct(v reflect.Value) {
	for i := range v.NumField() {
		field, tag := v.Type().Field(i), v.Type().Field(i).Tag.Get("ssz-size")
		if !field.IsExported() {
			continue
		}
		switch f := v.Field(i); {
		case f.Kind() == reflect.Pointer && f.IsNil():
			f.Set(reflect.New(f.Type().Elem()))
			fillStruct(f.Elem())
		case f.Kind() == reflect.Pointer:
			fillStruct(f.Elem())
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Uint8 && f.Len() == 0:
			if size, err := strconv.Atoi(tag); err == nil {
				f.SetBytes(repeat(0x11, size))
			}
		}
	}
}
