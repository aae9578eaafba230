package dynamodb

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// expression is a conditional update that is put together attribute by attribute. Names of attributes stand behind placeholders, since
// some are words of DynamoDB's own.
type expression struct {
	names              map[string]string
	values             item
	set, remove, check []string
}

func newExpression() *expression {
	return &expression{names: map[string]string{}, values: item{}}
}

// require has the update done only if an attribute has a value, or is absent if that is nil.
func (e *expression) require(name string, value value) {
	if value == nil {
		e.check = append(e.check, "attribute_not_exists("+e.name(name)+")")
		return
	}
	e.check = append(e.check, e.name(name)+" = "+e.value(value))
}

// put gives an attribute a value, or removes it if that is nil.
func (e *expression) put(name string, value value) {
	if value == nil {
		e.remove = append(e.remove, e.name(name))
		return
	}
	e.set = append(e.set, e.name(name)+" = "+e.value(value))
}

func (e *expression) name(name string) string {
	e.names["#"+name] = name
	return "#" + name
}

func (e *expression) value(value value) string {
	placeholder := fmt.Sprintf(":v%d", len(e.values))
	e.values[placeholder] = value
	return placeholder
}

// update is the request for the item with a key.
func (e *expression) update(table string, key []byte) *dynamodb.UpdateItemInput {
	var changes []string
	if len(e.set) > 0 {
		changes = append(changes, "SET "+strings.Join(e.set, ", "))
	}
	if len(e.remove) > 0 {
		changes = append(changes, "REMOVE "+strings.Join(e.remove, ", "))
	}
	change, condition := strings.Join(changes, " "), strings.Join(e.check, " AND ")
	return &dynamodb.UpdateItemInput{
		TableName: &table, Key: item{attrKey: binary(key)},
		UpdateExpression: &change, ConditionExpression: &condition,
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	}
}
