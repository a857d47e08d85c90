package main

import (
	"context"
	"fmt"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/idem-go/idem"
)

// askAnthropic is an agent loop on anthropic-sdk-go. All that idem has to do with it
// is runTool: what the model asks for goes through Client.Call.
func askAnthropic(ctx context.Context, api anthropic.Client, client *idem.Client, question string) (string, error) {
	tools := []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
		Name: "refund", Description: anthropic.String("Refunds an order, once."),
		InputSchema: anthropic.ToolInputSchemaParam{
			Properties: map[string]any{"order": map[string]string{"type": "string"}, "cents": map[string]string{"type": "integer"}},
			Required:   []string{"order", "cents"},
		},
	}}}
	said := []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(question))}
	for range maxTurns {
		message, err := api.Messages.New(ctx, anthropic.MessageNewParams{
			Model: anthropic.ModelClaudeSonnet4_6, MaxTokens: 1024, Messages: said, Tools: tools,
		})
		if err != nil {
			return "", err
		}
		said = append(said, message.ToParam())
		var results []anthropic.ContentBlockParamUnion
		text := ""
		for _, block := range message.Content {
			switch block := block.AsAny().(type) {
			case anthropic.TextBlock:
				text += block.Text
			case anthropic.ToolUseBlock:
				result, failed, err := runTool(ctx, client, block.Name, block.ID, block.Input)
				if err != nil {
					return "", err
				}
				results = append(results, anthropic.NewToolResultBlock(block.ID, result, failed))
			}
		}
		if len(results) == 0 {
			return text, nil
		}
		said = append(said, anthropic.NewUserMessage(results...))
	}
	return "", fmt.Errorf("the model did not come to an end in %d turns", maxTurns)
}
