package tasks

import "salescast/pkg/calendar"

// DefaultGenerateOptions are the catalogue's ten stores and twenty products over three years.
func DefaultGenerateOptions() GenerateOptions {
	return GenerateOptions{Stores: 10, Items: 20, Start: calendar.DateOf(2022, 1, 1), End: calendar.DateOf(2024, 12, 31), Seed: 42}
}

// GeneratedData says what the columns of generated sales are; it holds for the workspace's own data step, so it names no source.
func GeneratedData() DataOptions {
	return DataOptions{
		Keys: []string{"store_id", "product_id"}, Time: "date", Target: "quantity_sold", Frequency: "D",
		KnownFuture: []string{"unit_price", "discount_percent", "promo", "closed", "renovation"},
		Static:      []string{"category"},
		Ignore:      []string{"revenue", "cost", "profit"}, // they follow from the target
		Missing:     "zero",
		Country:     "US",
	}
}
