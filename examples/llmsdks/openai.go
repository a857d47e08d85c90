package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/idem-go/idem"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
)

// askOpenAI is an agent loop on openai-go's Responses API. All that idem has to do
// with it is runTool: what the model asks for goes through Client.Call.
func askOpenAI(ctx context.Context, api openai.Client, client *idem.Client, question string) (string, error) {
	params := responses.ResponseNewParams{
		Model: openai.ChatModelGPT5_5,
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(question)},
		Tools: []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{
			Name: "refund", Description: openai.String("Refunds an order, once."),
			Parameters: map[string]any{
				"type":       "object",
				"properties": map[string]any{"order": map[string]string{"type": "string"}, "cents": map[string]string{"type": "integer"}},
				"required":   []string{"order", "cents"},
			},
		}}},
	}
	for range maxTurns {
		response, err := api.Responses.New(ctx, params)
		if err != nil {
			return "", err
		}
		var results []responses.ResponseInputItemUnionParam
		for _, item := range response.Output {
			if item.Type != "function_call" {
				continue
			}
			call := item.AsFunctionCall()
			// There is no flag for a failure here: the advice says it in words.
			result, _, err := runTool(ctx, client, call.Name, call.CallID, json.RawMessage(call.Arguments))
			if err != nil {
				return "", err
			}
			results = append(results, responses.ResponseInputItemUnionParam{OfFunctionCallOutput: &responses.ResponseInputItemFunctionCallOutputParam{
				CallID: openai.String(call.CallID),
				Output: responses.ResponseInputItemFunctionCallOutputOutputUnionParam{OfString: openai.String(result)},
			}})
		}
		if len(results) == 0 {
			return response.OutputText(), nil
		}
		params.PreviousResponseID = openai.String(response.ID)
		params.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: results}
	}
	return "", fmt.Errorf("the model did not come to an end in %d turns", maxTurns)
}
